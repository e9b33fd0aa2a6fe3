"""Trimmed vocabularies of each family."""

import base64
import json
from pathlib import Path

import pytest
import torch
from tiny_families import write_base

from slimspeech import families
from slimspeech.artifacts import read_json, write_json
from slimspeech.models.collation import Collator
from slimspeech.models.loading import load_for_inference, load_processor
from slimspeech.quantization.bpe import trim_files
from slimspeech.quantization.pack import pack
from slimspeech.quantization.trim import named_tokens, saved_tokenizer, trim_model
from slimspeech.quantization.vocabulary import Texts, VocabularySettings, choose_vocabulary

SIZE = 320


@torch.inference_mode()
def logits(directory, base):
    """Of prompts and answers, and the tokens that they were made for."""
    processor = load_processor(directory)
    batch = Collator(processor, base.prompt)(base.rows[:1])
    del batch["labels"]
    model = load_for_inference(directory, "fp32")
    found = model(**batch, use_cache=False).logits[batch["attention_mask"].bool()]
    return found, processor.tokenizer.convert_ids_to_tokens(batch["input_ids"].flatten().tolist())


def test_logits_of_kept_tokens_are_the_same_bits(base, tmp_path):
    if base.family.model_type == "voxtral":
        pytest.skip("its tokenizer here has bytes and special tokens alone; see below")
    prompt = base.prompt.ids(base.processor, "en-de", 1)
    vocabulary = choose_vocabulary(
        saved_tokenizer(base.processor),
        named_tokens(base.directory, base.processor, prompt),
        Texts([row["target"] for row in base.rows[:1]], [], []),
        VocabularySettings(SIZE, []),
    )
    assert vocabulary["size"] < vocabulary["tokens"] and not vocabulary["dropped"]
    pack(base.directory, tmp_path / "whole", "none")  # in bfloat16, as the trimmed model
    trim_model(base.directory, tmp_path / "trimmed", vocabulary)
    whole, tokens = logits(tmp_path / "whole", base)
    trimmed, same_tokens = logits(tmp_path / "trimmed", base)
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


TEXTS = ["Das ist ein Haus.", "Die Häuser stehen hinaus in die Straße.", "你好吗?"]


@pytest.fixture(scope="module")
def mistral(tmp_path_factory) -> Path:
    """A tiny Voxtral whose tokenizer has tokens of several bytes, which the model knows too."""
    directory = tmp_path_factory.mktemp("mistral") / "base"
    write_base("voxtral", directory, [])
    words = {f" {word}" for text in TEXTS for word in text.split()}
    parts = [word[:end].encode() for word in sorted(words) for end in range(2, len(word) + 1)]
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += sorted(dict.fromkeys(parts), key=lambda part: (len(part), part))
    tekken = read_json(directory / "tekken.json")
    tekken["vocab"] = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(tokens)
    ]
    tekken["config"] |= {"num_vocab_tokens": len(tokens), "default_vocab_size": 36 + len(tokens)}
    write_json(directory / "tekken.json", tekken)
    config = read_json(directory / "config.json")
    config["text_config"]["vocab_size"] = 36 + len(tokens)
    write_json(directory / "config.json", config)
    return directory


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
