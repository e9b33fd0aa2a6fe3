"""The parity gate against an engine of stock transformers, whole and broken in known ways."""

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

from slimspeech.artifacts import Row
from slimspeech.engines.batch import batch, hypotheses, prompts, read_batch
from slimspeech.errors import InputError
from slimspeech.evaluation.parity import compare_words, require_parity
from slimspeech.generation.embeddings import read_clips
from slimspeech.generation.translation import GenerationSettings, translate
from slimspeech.models.loading import load_model, load_processor
from slimspeech.release.export import export

LIMIT = 40


class Engine:
    """Answers batches as vLLM does. unmasked: it forgets which part of the window is the clip.
    text_first: it puts the text before the audio. silent: it does not tell the prompts' tokens.
    """

    def __init__(self, directory: Path, unmasked=False, text_first=False, silent=False):
        self.processor = AutoProcessor.from_pretrained(directory)
        self.model = Qwen2AudioForConditionalGeneration.from_pretrained(
            directory, dtype=torch.float32
        )
        self.text_first, self.silent = text_first, silent
        if unmasked:
            self._hear_everything()

    def _hear_everything(self) -> None:
        extractor = self.processor.feature_extractor
        extract = type(extractor).__call__

        class Unmasked(type(extractor)):
            def __call__(self, *arguments, **options):
                features = extract(self, *arguments, **options)
                features["attention_mask"] = torch.ones_like(
                    torch.as_tensor(features["attention_mask"])
                )
                return features

        extractor.__class__ = Unmasked

    def answer(self, request: Row) -> Row:
        try:
            inner = {"status_code": 200, "body": self._body(request["body"])}
        except RuntimeError as error:
            inner = {"status_code": 400, "body": {"error": {"message": str(error)}}}
        return {"custom_id": request["custom_id"], "response": inner, "error": None}

    def _body(self, body: Row) -> Row:
        system, user = body["messages"]
        sound, text = user["content"]
        samples, rate = soundfile.read(
            io.BytesIO(base64.b64decode(sound["input_audio"]["data"])), dtype="float32"
        )
        content = [{"type": "audio"}, text]
        messages = [system, user | {"content": content[::-1] if self.text_first else content}]
        inputs = self.processor(
            text=self.processor.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            ),
            audio=[samples],
            sampling_rate=rate,
            return_tensors="pt",
        )
        asked = inputs["input_ids"][0].tolist()
        tokens = self.model.generate(**inputs, max_new_tokens=body["max_tokens"], do_sample=False)
        made = tokens[0, len(asked) :]
        text = self.processor.decode(made, skip_special_tokens=True)
        reason = "length" if len(made) == body["max_tokens"] else "stop"
        return {
            "choices": [{"message": {"content": text}, "finish_reason": reason}],
            "prompt_token_ids": None if self.silent else asked,
        }


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("parity") / "bf16"
    export(trained[0], folder)
    return folder


@pytest.fixture(scope="module")
def gate(trained, rows, prompt) -> Callable[[Engine], Row]:
    """Asks an engine for the German clips, and compares it with our own code."""
    segments = [row for row in rows if row["pair"] == "en-de"]
    processor = load_processor(trained[0])
    settings = GenerationSettings(batch_size=3, max_new_tokens=LIMIT, precision="fp32")
    model = load_model(trained[0], torch.float32)
    texts = translate(model, processor, segments, prompt, settings)
    own = [{"id": row["id"], "hypothesis": text} for row, text in zip(segments, texts, strict=True)]
    clips = read_clips(segments, processor)
    asked = prompts(clips, processor, prompt)
    requests = json.loads(json.dumps(batch(clips, 16_000, prompt, LIMIT)))

    def compare(engine: Engine) -> Row:
        answers = read_batch([engine.answer(request) for request in requests], len(requests))
        rows = hypotheses(answers, asked, segments)
        ran = dict.fromkeys(("engine", "version", "device", "dtype", "form"), "stock")
        return ran | compare_words("en-de", segments, own, rows, answers, asked)

    return compare


@pytest.fixture
def broken(exported, tmp_path) -> Callable[[str, Callable[[dict], None]], Path]:
    """A copy of the export with one of its files changed."""

    def change(name: str, edit: Callable[[dict], None]) -> Path:
        folder = Path(shutil.copytree(exported, tmp_path / "broken"))
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        edit(content)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
        return folder

    return change


def test_the_export_passes(gate, exported):
    parity = gate(Engine(exported))
    require_parity(parity, threshold=1)
    assert parity["equal"] == parity["clips"] == 3
    assert parity["other_prompts"] == parity["cut"] == 0
    assert parity["own_score"] > 90


@pytest.mark.parametrize("silent", [False, True])
def test_padding_without_a_mask_is_caught(gate, exported, silent):
    """As in llama.cpp, which tells no tokens either: then by its words."""
    with pytest.raises(InputError, match="serving.threshold" if silent else "other prompts"):
        require_parity(gate(Engine(exported, unmasked=True, silent=silent)), threshold=1)


def test_a_prompt_in_another_order_is_caught(gate, exported):
    with pytest.raises(InputError, match="other prompts of 3 clips"):
        require_parity(gate(Engine(exported, text_first=True)), threshold=100)


def test_a_wrong_number_of_mel_bins_is_caught(gate, broken):
    folder = broken("preprocessor_config.json", lambda settings: settings.update(feature_size=128))
    with pytest.raises(InputError, match="did not translate clip 0: .*128"):
        gate(Engine(folder))


def test_a_lost_end_token_is_caught(gate, broken):
    folder = broken("generation_config.json", lambda settings: settings.update(eos_token_id=1))
    with pytest.raises(InputError, match=r"cut at the limit.*serving\.threshold"):
        require_parity(gate(Engine(folder)), threshold=1)


def test_a_swapped_tokenizer_is_caught(gate, broken):
    def swap(tokenizer: dict) -> None:
        special = {token["id"] for token in tokenizer["added_tokens"]}
        names = [name for name, id in tokenizer["model"]["vocab"].items() if id not in special]
        ids = [tokenizer["model"]["vocab"][name] for name in names]
        tokenizer["model"]["vocab"] |= dict(zip(names, reversed(ids), strict=True))

    with pytest.raises(InputError, match="other prompts of 3 clips"):
        require_parity(gate(Engine(broken("tokenizer.json", swap))), threshold=100)
