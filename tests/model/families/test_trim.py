"""A vocabulary of each family: trimmed, or refused with the reason."""

import pytest
import torch

from slimspeech.errors import InputError
from slimspeech.models.collation import Collator
from slimspeech.models.loading import load_for_inference, load_processor
from slimspeech.quantization.pack import pack
from slimspeech.quantization.trim import named_tokens, saved_tokenizer, trim_model
from slimspeech.quantization.vocabulary import Texts, VocabularySettings, choose_vocabulary

TRIMMABLE = ("qwen2_audio", "gemma4_unified")
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
    if base.family.model_type not in TRIMMABLE:
        with pytest.raises(InputError, match="tekken.json.*cannot be trimmed safely"):
            saved_tokenizer(base.processor)
        return
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
