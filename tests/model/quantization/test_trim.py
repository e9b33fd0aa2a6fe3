"""A model with a trimmed vocabulary is the same model, for texts whose tokens are kept."""

import json

import pytest
import torch
from project import REPOSITORY
from tiny_model import logits, make_row, write_clip
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

from slimspeech.errors import InputError
from slimspeech.generation.translation import translate
from slimspeech.models.collation import Collator
from slimspeech.models.loading import load_for_inference, load_processor, read_config
from slimspeech.models.size import measure_size
from slimspeech.quantization.pack import pack
from slimspeech.quantization.predicted_size import predicted_bytes
from slimspeech.quantization.trim import named_tokens, saved_tokenizer, trim_model
from slimspeech.quantization.vocabulary import Texts, VocabularySettings, choose_vocabulary

MINI = REPOSITORY / "resources" / "mini" / "base"
TARGETS = ["Wir zeigen ein kleines Modell.", "Das Modell übersetzt gesprochene Sprache."]
SMALLEST = {"embedding": "nf4", "head": "nf4"}


def choose(directory, prompt, targets, size):
    processor = load_processor(directory)
    ids = [*prompt.ids(processor, "en-de", 1), *prompt.ids(processor, "en-zh", 1)]
    return choose_vocabulary(
        saved_tokenizer(processor),
        named_tokens(directory, processor, ids),
        Texts(targets, [], []),
        VocabularySettings(size, []),
    )


@pytest.fixture(scope="module")
def vocabulary(prompt):
    return choose(MINI, prompt, TARGETS, 512)


@pytest.fixture(scope="module")
def trimmed(vocabulary, tmp_path_factory):
    """The mini base with 512 of its 2048 tokens."""
    directory = tmp_path_factory.mktemp("trimmed") / "model"
    trim_model(MINI, directory, vocabulary)
    return directory


def test_logits_of_kept_tokens_are_the_same_bits(trimmed, vocabulary, prompt, tmp_path):
    audio = write_clip(tmp_path / "clip.wav", 2, 300)
    rows = [make_row(text, audio, 2, "en-de", text) for text in TARGETS]
    batches = [Collator(load_processor(path), prompt)(rows) for path in (MINI, trimmed)]
    whole, found = (
        logits(
            load_for_inference(path, "fp32"),
            {key: value for key, value in batch.items() if key != "labels"},
        )
        for path, batch in zip((MINI, trimmed), batches, strict=True)
    )
    kept = torch.tensor(vocabulary["kept"])
    assert torch.equal(kept[batches[1]["input_ids"]], batches[0]["input_ids"])
    assert found.shape == (len(whole), 512)
    assert torch.equal(whole[:, kept], found)


def test_stock_classes_load_it_and_name_the_same_tokens(trimmed):
    before, after = (AutoProcessor.from_pretrained(path).tokenizer for path in (MINI, trimmed))
    model, report = Qwen2AudioForConditionalGeneration.from_pretrained(
        trimmed, output_loading_info=True
    )
    assert not [keys for keys in report.values() if keys]
    assert model.get_input_embeddings().num_embeddings == len(after) == 512
    text = f"<|im_start|>{TARGETS[0]}<|im_end|><|AUDIO|>"
    assert after.tokenize(text) == before.tokenize(text)
    whole, settings = read_config(MINI), model.generation_config
    for old, new in [
        (whole.audio_token_id, model.config.audio_token_id),
        (whole.text_config.eos_token_id, model.config.text_config.eos_token_id),
        (whole.text_config.pad_token_id, model.config.text_config.pad_token_id),
        (before.eos_token_id, after.eos_token_id),
        (before.convert_tokens_to_ids("<|im_end|>"), settings.eos_token_id[0]),
    ]:
        assert after.convert_ids_to_tokens(new) == before.convert_ids_to_tokens(old)


def test_files_are_those_of_the_model_it_came_from(trimmed):
    assert {path.name for path in trimmed.iterdir()} == {path.name for path in MINI.iterdir()}
    config = json.loads((trimmed / "config.json").read_text())
    assert config["text_config"]["vocab_size"] == 512


@pytest.mark.parametrize("quantization", ["nf4", SMALLEST])
def test_predicted_bytes_are_those_of_the_packed_files(quantization, trimmed, tmp_path):
    pack(trimmed, tmp_path / "packed", quantization)
    size = measure_size(tmp_path / "packed")["bytes_by_part"]
    predicted = predicted_bytes(read_config(MINI), quantization, vocabulary=512)
    for part in ("embedding", "head"):
        assert predicted[part] == pytest.approx(size[part], abs=8)
    assert sum(predicted.values()) == pytest.approx(sum(size.values()), abs=1000)


def test_hypotheses_are_the_same_in_fewer_rows(trained, rows, prompt, greedy, tmp_path):
    rows = [row for row in rows if row["pair"] == "en-de"]
    vocabulary = choose(trained[0], prompt, [row["target"] for row in rows], 384)
    assert vocabulary["size"] < vocabulary["tokens"] and not vocabulary["dropped"]
    trim_model(trained[0], tmp_path / "trimmed", vocabulary)
    pack(trained[0], tmp_path / "whole", "none")  # in bfloat16, as the trimmed model
    hypotheses = [
        translate(load_for_inference(path, "fp32"), load_processor(path), rows, prompt, greedy)
        for path in (tmp_path / "whole", tmp_path / "trimmed")
    ]
    assert hypotheses[0] == hypotheses[1] == [row["target"] for row in rows]


def test_a_vocabulary_of_another_tokenizer_is_refused(vocabulary, trimmed, tmp_path):
    with pytest.raises(InputError, match="has 512 tokens and the vocabulary was chosen from 2048"):
        trim_model(trimmed, tmp_path / "twice", vocabulary)
