"""The code of a model card, which uses transformers alone, run on a base model."""

import soundfile

from slimspeech.generation.translation import GenerationSettings, translate
from slimspeech.release.card.snippet import snippet


def test_card_translates_as_the_project(base, tmp_path, monkeypatch, capsys):
    facts = {
        "model_type": base.family.model_type,
        "prompt": {"system": base.prompt.system, "user": base.prompt.user, "template": "chat"},
        "languages": {},
        "pair": "en-de",
        "generation": {"max_new_tokens": 12},
        "size": {"dtypes_by_part": {}, "weights_by_part": {}},
    }
    # of a card whose model is in bfloat16, which tokens of random models need not survive
    code = snippet(facts).replace("dtype=torch.bfloat16", "dtype=torch.float32")
    soundfile.write(tmp_path / "talk.wav", base.audio[1], 16_000, "FLOAT")
    (tmp_path / "model").symlink_to(base.directory)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(compile(code.replace('directory = "."', 'directory = "model"'), "card", "exec"), {})
    printed = capsys.readouterr().out.strip()
    row = base.rows[1] | {"audio": str(tmp_path / "talk.wav")}
    settings = GenerationSettings(batch_size=1, max_new_tokens=12, precision="fp32")
    [own] = translate(base.model, base.processor, [row], base.prompt, settings)
    assert printed and " ".join(printed.split()) == own
