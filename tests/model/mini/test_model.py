import pytest
import torch

from slimspeech.models.collation import window_seconds
from slimspeech.models.loading import load_model, save_model
from slimspeech.models.size import measure_size
from slimspeech_mini.grammar import sentences
from slimspeech_mini.model import SPECIAL_TOKENS, build_model, build_processor, tokenizer_texts

VOCABULARY = 2048  # as rule train_mini_base has it


@pytest.fixture(scope="module")
def mini_processor(prompt):
    texts = tokenizer_texts(sentences("talk", 1), prompt, ["en-de", "en-zh"], count=3000)
    return build_processor(texts, VOCABULARY)


@pytest.fixture(scope="module")
def mini(mini_processor):
    return build_model(mini_processor, seed=0).eval()


def test_size(mini, mini_processor, tmp_path):
    assert 3_000_000 < sum(weight.numel() for weight in mini.parameters()) < 5_000_000
    assert len(mini.get_decoder().layers) == 12
    copy = load_bf16(mini, mini_processor, tmp_path / "model")
    assert copy.dtype == torch.bfloat16
    size = measure_size(tmp_path / "model")
    assert size["decoder_layers"] == 12
    assert sum(file.stat().st_size for file in (tmp_path / "model").iterdir()) < 9_000_000
    assert size["bytes"] < 8_000_000


def load_bf16(model, processor, directory):
    import copy

    save_model(copy.deepcopy(model).to(torch.bfloat16), processor, directory)
    return load_model(directory, torch.bfloat16)


def test_vocabulary_is_as_large_as_asked_for(mini_processor):
    assert len(mini_processor.tokenizer) == VOCABULARY


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_special_tokens_are_single(token, mini_processor):
    tokenizer = mini_processor.tokenizer
    (number,) = tokenizer(token).input_ids
    assert tokenizer.decode([number], skip_special_tokens=True) == ""
    assert len(tokenizer(f"a{token}b").input_ids) == 3


@pytest.mark.parametrize("text", ["Übergrößenträger", "机器翻译", "naïve café 🙂", "a  b"])
def test_tokenizer_loses_nothing(text, mini_processor):
    tokenizer = mini_processor.tokenizer
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_shape_is_that_of_qwen2_audio(mini):
    config = mini.config.text_config
    assert config.num_key_value_heads == config.num_attention_heads
    head, embedding = mini.get_output_embeddings(), mini.get_input_embeddings()
    assert head.weight.data_ptr() != embedding.weight.data_ptr()


def test_window(mini_processor):
    assert window_seconds(mini_processor) == 6


def test_generation_ends_at_the_end_of_a_turn(mini, mini_processor):
    tokenizer = mini_processor.tokenizer
    assert mini.generation_config.eos_token_id == [
        tokenizer.convert_tokens_to_ids("<|im_end|>"),
        tokenizer.eos_token_id,
    ]
    assert tokenizer.eos_token_id is not None and tokenizer.pad_token_id is not None


def test_positions_are_sinusoids(mini):
    """Whisper's: position 0 is all sines of 0 and cosines of 0."""
    table = mini.model.audio_tower.embed_positions.weight
    half = table.shape[1] // 2
    assert torch.equal(table[0], torch.cat([torch.zeros(half), torch.ones(half)]))
    assert table[1, 0].item() == pytest.approx(0.8414710)  # sin 1
    assert table[1, -1].item() == pytest.approx(1.0)  # cos 1/10000


def test_seed_decides_the_weights(build):
    weights = [build(seed).get_output_embeddings().weight for seed in (5, 5, 6)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
