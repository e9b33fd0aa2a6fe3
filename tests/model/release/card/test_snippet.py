"""The code of a model card, taken from the card and run as a reader would, without this project."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_release import CONFIG, COST, made_facts, made_release

from slimspeech.generation.translation import GenerationSettings, translate
from slimspeech.models.loading import load_for_inference, load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.models.size import measure_size
from slimspeech.quantization.pack import pack

SMALLEST = {"embedding": "nf4", "head": "nf4"}
PLAIN = {"system": "", "user": "In {target}:", "template": "plain"}


@pytest.mark.parametrize(
    ("quantization", "number", "prompt_config", "is_kept"),
    [
        ("nf4", 2, CONFIG["prompt"], False),
        (SMALLEST, 3, PLAIN, False),
        ("nf4", 0, CONFIG["prompt"], True),
        (SMALLEST, 3, PLAIN, True),
    ],
    ids=["nf4", "smallest, plain prompt", "with an adapter", "smallest with an adapter"],
)
def test_the_cards_code_translates_as_the_project(
    trained, adapter, rows, tmp_path, quantization, number, prompt_config, is_kept
):
    row = rows[number]
    packed = tmp_path / "packed"
    pack(trained[0], packed, quantization, adapter=adapter if is_kept else None)
    sizes = {"B": measure_size(packed)}
    facts = made_facts(
        packed, sizes, {"B": COST}, comparison=None, pair=row["pair"], prompt=prompt_config
    )
    release = made_release(packed, facts)
    card = (release / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```$", card, re.M | re.S)
    write_talk(Path(row["audio"]), release / "talk.wav")
    translation = run_without_us(code, release, tmp_path)

    model = load_for_inference(str(packed), "fp32")
    settings = GenerationSettings(batch_size=1, max_new_tokens=40, precision="fp32")
    talk = row | {"audio": str(release / "talk.wav")}
    prompt = Prompt.of(prompt_config, {})
    [ours] = translate(model, load_processor(packed), [talk], prompt, settings)
    assert ours and translation == ours
    if prompt_config is CONFIG["prompt"] and not is_kept:
        assert translation == row["target"], "the model has memorised this clip"


def write_talk(clip: Path, target: Path) -> None:
    """The clip as people have it: in stereo, at another rate."""
    samples, rate = soundfile.read(clip)
    times = np.arange(round(len(samples) * 44_100 / rate)) / 44_100
    louder = np.interp(times, np.arange(len(samples)) / rate, samples)
    soundfile.write(target, np.stack([louder * 1.2, louder * 0.8], axis=1), 44_100, "FLOAT")


def run_without_us(code: str, folder: Path, shadows: Path) -> str:
    """What the code prints, where importing slimspeech is an error."""
    (shadows / "slimspeech.py").write_text("raise ImportError('a card needs no slimspeech')")
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(shadows), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout.strip()
