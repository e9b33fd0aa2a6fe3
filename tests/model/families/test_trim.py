"""Trimmed vocabularies of each family."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from tiny_families import voxtral, wild

from slimspeech import families
from slimspeech.models.collation import Collator
from slimspeech.models.loading import (
    load_for_inference,
    load_model,
    load_processor,
    publish_config,
)
from slimspeech.models.nf4_embedding import allow_any_width
from slimspeech.quantization.bpe import trim_files
from slimspeech.quantization.nf4 import nf4
from slimspeech.quantization.pack import pack
from slimspeech.quantization.trim import named_tokens, saved_tokenizer, trim_model
from slimspeech.quantization.vocabulary import Texts, VocabularySettings, choose_vocabulary
from slimspeech.training.fine_tuning import LoraSettings, add_adapter, save_adapter

LORA = LoraSettings(r=4, alpha=8, dropout=0.0, rslora=True, target_modules="all-linear")
SIZE = 320
TEXTS = ["Das ist ein Haus.", "Die Häuser stehen hinaus in die Straße.", "你好吗?"]


@pytest.fixture(scope="module")
def mistral(tmp_path_factory) -> Path:
    """A tiny Voxtral whose tokenizer has tokens of several bytes."""
    directory = tmp_path_factory.mktemp("mistral")
    words = {f" {word}" for text in [*TEXTS, "Guten Tag."] for word in text.split()}
    parts = [word[:end].encode() for word in sorted(words) for end in range(2, len(word) + 1)]
    parts = sorted(dict.fromkeys(parts), key=lambda part: (len(part), part))
    wild(voxtral(directory, [], parts)).save_pretrained(directory)
    publish_config(directory)
    return directory


@torch.inference_mode()
def logits(directory, base, precision="fp32"):
    """Of prompts and answers, and the tokens that they were made for."""
    processor = load_processor(directory)
    batch = Collator(processor, base.prompt)(base.rows[:1])
    del batch["labels"]
    model = load_for_inference(directory, precision)
    found = model(**batch, use_cache=False).logits[batch["attention_mask"].bool()]
    return found, processor.tokenizer.convert_ids_to_tokens(batch["input_ids"].flatten().tolist())


@pytest.fixture
def model(base, mistral):
    """That of the other tests; of Voxtral one whose tokenizer can lose tokens."""
    if base.family.model_type != "voxtral":
        return base
    return replace(base, directory=mistral, processor=load_processor(mistral))


@pytest.fixture
def vocabulary(model):
    prompt = model.prompt.ids(model.processor, "en-de", 1)
    vocabulary = choose_vocabulary(
        saved_tokenizer(model.processor),
        named_tokens(model.directory, model.processor, prompt),
        Texts([row["target"] for row in model.rows[:1]], [], []),
        VocabularySettings(SIZE, []),
    )
    assert vocabulary["size"] < vocabulary["tokens"] and not vocabulary["dropped"]
    return vocabulary


def test_logits_of_kept_tokens_are_the_same_bits(model, vocabulary, tmp_path):
    pack(model.directory, tmp_path / "whole", "none")  # in bfloat16, as the trimmed model
    trim_model(model.directory, tmp_path / "trimmed", vocabulary)
    whole, tokens = logits(tmp_path / "whole", model)
    trimmed, same_tokens = logits(tmp_path / "trimmed", model)
    assert same_tokens == tokens
    assert torch.equal(whole[:, vocabulary["kept"]], trimmed)
    before, after = (
        (load_for_inference(tmp_path / name, "fp32"), load_processor(tmp_path / name).tokenizer)
        for name in ("whole", "trimmed")
    )
    for key in ("eos_token_id", "suppress_tokens"):
        ids = [getattr(model.generation_config, key) for model, _ in (before, after)]
        named = [
            tokenizer.convert_ids_to_tokens(numbers) if numbers else numbers
            for numbers, (_, tokenizer) in zip(ids, (before, after), strict=True)
        ]
        assert named[0] == named[1]


def write_adapter(directory, folder) -> Path:
    """A random one, which fits the model whatever its vocabulary is."""
    model = add_adapter(load_model(directory, torch.bfloat16, nf4()), LORA, seed=0)
    random = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if ".lora_B." in name:
            weight.data.normal_(std=0.02, generator=random)
    folder.mkdir()
    save_adapter(model, folder)
    return folder


@torch.inference_mode()
def stock_logits(directory, base):
    """By transformers' own class, which loads the adapter that lies beside the weights."""
    architecture = json.loads((directory / "config.json").read_text())["architectures"][0]
    stock = getattr(transformers, architecture).from_pretrained(directory, dtype=torch.bfloat16)
    base.family.prepare(allow_any_width(stock).eval())
    batch = Collator(load_processor(directory), base.prompt)(base.rows[:1])
    del batch["labels"]
    return stock(**batch, use_cache=False).logits[batch["attention_mask"].bool()]


def test_a_trimmed_student_with_its_adapter_beside_it_is_the_same_model(
    model, vocabulary, tmp_path
):
    adapter = write_adapter(model.directory, tmp_path / "adapter")
    trim_model(model.directory, tmp_path / "trimmed", vocabulary)
    pack(model.directory, tmp_path / "whole", adapter=adapter)
    pack(tmp_path / "trimmed", tmp_path / "packed", adapter=adapter)
    whole, tokens = logits(tmp_path / "whole", model)
    packed, same_tokens = logits(tmp_path / "packed", model)
    assert same_tokens == tokens
    assert torch.equal(whole[:, vocabulary["kept"]], packed)
    expected = stock_logits(tmp_path / "packed", model)
    assert torch.equal(logits(tmp_path / "packed", model, "bf16")[0], expected)
    (tmp_path / "packed" / "adapter_config.json").unlink()
    (tmp_path / "packed" / "adapter_model.safetensors").unlink()
    assert not torch.equal(logits(tmp_path / "packed", model)[0], packed)


def test_the_tokenizer_of_mistral_keeps_its_form(mistral, tmp_path):
    processor = load_processor_alone(mistral)
    bpe = saved_tokenizer(processor)
    assert set(range(36)) <= {bpe.ids[token] for token in bpe.added}
    settings = VocabularySettings(320, [])
    vocabulary = choose_vocabulary(bpe, [], Texts(TEXTS[:1], [], TEXTS[1:]), settings)
    assert vocabulary["kept"][:292] == list(range(292))  # special tokens and bytes
    assert vocabulary["held_out"]["longer_percent"] > 0
    processor.save_pretrained(tmp_path)
    processor.feature_extractor.save_pretrained(tmp_path)
    trim_files(tmp_path, vocabulary["kept"])
    whole, trimmed = processor.tokenizer, load_processor_alone(tmp_path).tokenizer
    assert len(trimmed) == 320 < len(whole)
    plain = {"add_special_tokens": False}
    assert trimmed.tokenize(TEXTS[0], **plain) == whole.tokenize(TEXTS[0], **plain)
    for text in [*TEXTS, "Ça va? 😀"]:
        assert trimmed.decode(trimmed(text, **plain).input_ids) == text
    tekken = json.loads((tmp_path / "tekken.json").read_text())
    assert [entry["rank"] for entry in tekken["vocab"]] == list(range(320 - 36))
    assert tekken["config"]["default_vocab_size"] == 320


def load_processor_alone(directory: Path):
    return families.by_type("voxtral").load_processor(directory)
