"""A tokenizer and the same with fewer tokens say the same."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project import REPOSITORY
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

from slimspeech.errors import InputError
from slimspeech.quantization.bpe import byte_characters, read_bpe, trim_files

WORDS = (
    "der die das den dem des Haus Häuser hausen hinaus heraus 你好 你们 我们 你好吗 straße straßen"
)
MINI = REPOSITORY / "resources" / "mini" / "base"


def byte_level() -> Tokenizer:
    """As Qwen's: bytes stand for themselves."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([WORDS], trainer)
    return tokenizer


def byte_fallback() -> Tokenizer:
    """As Gemma's: characters, and bytes for those that are no token. It begins with <bos>."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    trained.train_from_iterator([WORDS], BpeTrainer(vocab_size=60, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    first = ["<pad>", "<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens = [*first, *model["vocab"]]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[tuple(pair) for pair in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.pre_tokenizer = trained.pre_tokenizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", 1)]
    )
    return tokenizer


def saved(tokenizer: Tokenizer, folder) -> None:
    tokenizer.add_special_tokens(["<|end|>", "<|unused|>"])
    tokenizer.add_tokens([AddedToken("straßen", normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text("{}")


@pytest.fixture(scope="module", params=[byte_level, byte_fallback])
def pair(request, tmp_path_factory):
    """A whole tokenizer, and one that keeps every other token with its ancestors."""
    folder = tmp_path_factory.mktemp("tokenizer")
    saved(request.param(), folder)
    bpe = read_bpe(folder)
    special = [token for token in ("<pad>", "<bos>", "<unk>", "<|end|>") if token in bpe.ids]
    chosen = sorted(bpe.ids.keys() - bpe.added)[::2]
    tokens = bpe.ancestors([*bpe.bytes, *special, *chosen])
    trim_files(folder, sorted(bpe.ids[token] for token in tokens))
    trimmed = Tokenizer.from_file(str(folder / "tokenizer.json"))
    whole = Tokenizer.from_str(json.dumps(bpe.data))
    assert trimmed.get_vocab_size() == len(tokens) < whole.get_vocab_size()
    return whole, trimmed


@given(text=st.text() | st.text(alphabet=WORDS + "<|end>"))
def test_texts_of_kept_tokens_are_encoded_the_same_and_all_come_back(pair, text):
    whole, trimmed = pair
    text = unicodedata.normalize("NFC", text).replace("▁", "")
    expected, found = whole.encode(text), trimmed.encode(text)
    if set(expected.tokens) <= trimmed.get_vocab().keys():
        assert found.tokens == expected.tokens
    keep = {"skip_special_tokens": False}
    assert trimmed.decode(found.ids, **keep) == whole.decode(expected.ids, **keep)


def test_ids_are_whole_numbers_from_zero_and_special_tokens_keep_their_names(pair):
    whole, trimmed = pair
    vocabulary = trimmed.get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert trimmed.encode("<|end|>", add_special_tokens=False).ids == [vocabulary["<|end|>"]]
    if "<bos>" in vocabulary:
        assert trimmed.encode("das").tokens[0] == "<bos>"
    assert whole.token_to_id("<|unused|>") and trimmed.token_to_id("<|unused|>") is None


def test_ancestors_are_all_steps_of_a_word(tmp_path):
    saved(byte_level(), tmp_path)
    bpe = read_bpe(tmp_path)
    # h+a, ha+u, hau+s: whatever was merged first, the letters are among them
    ancestors = bpe.ancestors([token for token in bpe.ids if bpe.text(token) == " hinaus"])
    assert set("hinaus") | {byte_characters()[ord(" ")]} <= ancestors
    assert all(len(token) < 8 for token in ancestors)


def test_the_mini_base_has_every_byte():
    bpe = read_bpe(MINI)
    assert len(bpe.bytes) == 256 and bpe.text("Ġund") == " und"


def change(folder, **parts) -> None:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: {"model": data["model"] | {"type": "Unigram"}}, "Unigram and not BPE"),
        (lambda data: {"model": data["model"] | {"dropout": 0.1}}, "dropout"),
        (lambda data: {"model": data["model"] | {"end_of_word_suffix": "</w>"}}, "suffix"),
        (lambda data: {"pre_tokenizer": None}, "no tokens for single bytes"),
        (lambda data: {"post_processor": {"type": "BertProcessing"}}, "BertProcessing"),
        (
            lambda data: {
                "model": data["model"]
                | {"vocab": {"a": 0} | dict(list(data["model"]["vocab"].items())[9:])}
            },
            "lacks",
        ),
    ],
)
def test_tokenizers_that_cannot_be_trimmed_are_refused(damage, reason, tmp_path):
    saved(byte_level(), tmp_path)
    change(tmp_path, **damage(json.loads((tmp_path / "tokenizer.json").read_text())))
    with pytest.raises(InputError, match=f"{reason}.*cannot be trimmed safely"):
        read_bpe(tmp_path)


def test_tokenizers_in_other_files_are_refused(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(InputError, match="not in tokenizer.json.*cannot be trimmed safely"):
        read_bpe(tmp_path)


def test_files_that_repeat_the_tokens_are_removed_and_keys_renumbered(tmp_path):
    saved(byte_level(), tmp_path)
    bpe = read_bpe(tmp_path)
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_text("{}")
    end = bpe.ids["<|end|>"]
    decoder = {str(end): {"content": "<|end|>"}, str(end + 1): {"content": "<|unused|>"}}
    settings = {"added_tokens_decoder": decoder, "eos_token": "<|end|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    trim_files(tmp_path, sorted([*(bpe.ids[token] for token in bpe.bytes), end]))
    assert {path.name for path in tmp_path.iterdir()} == {"tokenizer.json", "tokenizer_config.json"}
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()) == {
        "added_tokens_decoder": {"256": {"content": "<|end|>"}},
        "eos_token": "<|end|>",
    }
