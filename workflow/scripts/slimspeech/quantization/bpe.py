"""Tokenizers of the kind byte-pair encoding, and the same with fewer tokens.

Trimming is exact: a token is kept together with all tokens that it is merged from. The encoder
applies, of the merges that are possible, the first in the list; where it ends with kept tokens, all
merges it applied are kept, in their order, so the trimmed tokenizer applies the same. Every byte is
a kept token, so any other text is still encoded, in more tokens.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from slimspeech.artifacts import read_json, write_json
from slimspeech.errors import InputError

FILE = "tokenizer.json"
# What publishers lay beside it: the same tokens again, by their numbers or in another form.
REPEATED = ("vocab.json", "merges.txt", "tokenizer.model", "added_tokens.json")
# Mistral's form: byte tokens by rank, behind special tokens.
TEKKEN = "tekken.json"
POST_PROCESSORS = {"Sequence", "ByteLevel", "TemplateProcessing"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Bpe:
    """A tokenizer that can say any text; from read_bpe(). data: content of tokenizer.json.

    keeps_added: whether all added tokens stay, because they have numbers of their own.
    """

    data: Json
    keeps_added: bool = False

    @cached_property
    def ids(self) -> dict[str, int]:
        """Number of every token, added ones included."""
        added = {token["content"]: token["id"] for token in self.data["added_tokens"]}
        return {**self.data["model"]["vocab"], **added}

    @cached_property
    def added(self) -> frozenset[str]:
        """Tokens that stand for themselves and are not merged: special ones and others."""
        return frozenset(token["content"] for token in self.data["added_tokens"])

    @cached_property
    def parents(self) -> dict[str, list[str]]:
        """The tokens that a token is merged from, by every merge that makes it."""
        parents: dict[str, list[str]] = {}
        for merge in self.data["model"]["merges"]:
            left, right = _pair(merge)
            parents.setdefault(left + right, []).extend((left, right))
        return parents

    @cached_property
    def bytes(self) -> dict[str, int]:
        """The byte of each token that is a single byte."""
        if "ByteLevel" in _types(self.data["pre_tokenizer"]):
            return {character: byte for byte, character in byte_characters().items()}
        return {f"<0x{byte:02X}>": byte for byte in range(256)}

    def ancestors(self, tokens: Iterable[str]) -> set[str]:
        """The tokens and all that they are merged from."""
        waiting, kept = list(tokens), set(tokens)
        while waiting:
            new = set(self.parents.get(waiting.pop(), ())) - kept
            kept |= new
            waiting += new
        return kept

    def text(self, token: str) -> str:
        """What a token says; a part of a character is nothing."""
        if "ByteLevel" not in _types(self.data["pre_tokenizer"]) or token in self.added:
            return token
        return bytes(self.bytes[character] for character in token).decode("utf-8", "ignore")

    def trimmed(self, kept: Sequence[int]) -> Json:
        """tokenizer.json with these tokens alone, in this order; their ancestors are among them."""
        numbers = {old: new for new, old in enumerate(kept)}
        model = self.data["model"]
        tokens = {token for token, number in self.ids.items() if number in numbers}
        vocabulary = {
            token: numbers[old] for token, old in model["vocab"].items() if old in numbers
        }
        merges = [
            merge for merge in model["merges"] if {*_pair(merge), "".join(_pair(merge))} <= tokens
        ]
        added = [
            token | {"id": numbers[token["id"]]}
            for token in self.data["added_tokens"]
            if token["id"] in numbers
        ]
        return self.data | {
            "model": model | {"vocab": vocabulary, "merges": merges},
            "added_tokens": added,
            "post_processor": _renumber_template(self.data["post_processor"], numbers),
        }


def read_bpe(directory: str | Path) -> Bpe:
    """Of a directory of a model or processor that has a tokenizer.json.

    Raises InputError, with the reason, for a tokenizer that cannot be trimmed safely.
    """
    path = Path(directory, FILE)
    if not path.is_file():
        raise InputError(_refusal(f"its tokenizer is not in {FILE}"))
    return checked(Bpe(read_json(path)))


def checked(bpe: Bpe) -> Bpe:
    """The same. Raises InputError, with the reason, if it cannot be trimmed safely."""
    if problem := _problem(bpe.data):
        raise InputError(_refusal(problem))
    return bpe


def trim_files(directory: Path, kept: Sequence[int]) -> None:
    """Trim the tokenizer of a model directory in place, and remove what repeats its tokens."""
    if (directory / TEKKEN).exists():
        write_json(directory / TEKKEN, _trim_tekken(read_json(directory / TEKKEN), kept))
        repeated: tuple[str, ...] = (FILE, *REPEATED)
    else:
        write_json(directory / FILE, read_bpe(directory).trimmed(kept))
        repeated = REPEATED
    path = directory / "tokenizer_config.json"
    settings = read_json(path) if path.is_file() else {}
    if added := settings.get("added_tokens_decoder"):
        numbers = {str(old): str(new) for new, old in enumerate(kept)}
        settings["added_tokens_decoder"] = {
            numbers[old]: token for old, token in added.items() if old in numbers
        }
        write_json(path, settings)
    for name in repeated:
        (directory / name).unlink(missing_ok=True)


def _trim_tekken(data: Json, kept: Sequence[int]) -> Json:
    """Ids are those of the special tokens, and behind them the ranks of the others, in order."""
    special = data["config"]["default_num_special_tokens"]
    ranks = [number - special for number in kept if number >= special]
    vocabulary = [data["vocab"][old] | {"rank": new} for new, old in enumerate(ranks)]
    sizes = {"num_vocab_tokens": len(ranks), "default_vocab_size": special + len(ranks)}
    return data | {"vocab": vocabulary, "config": data["config"] | sizes}


def _refusal(problem: str) -> str:
    return (
        f"{problem}, so the model's vocabulary cannot be trimmed safely; leave "
        "students.*.vocabulary out"
    )


def byte_characters() -> dict[int, str]:
    """The character that byte-level tokenizers write for each byte, as GPT-2's encoder.py."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    shifted = {byte: chr(256 + number) for number, byte in enumerate(others)}
    return {byte: chr(byte) for byte in visible} | shifted


def _problem(data: Json) -> str | None:
    """Why a tokenizer cannot be trimmed."""
    model = data["model"]
    if model["type"] != "BPE":
        return f"its tokenizer is of the kind {model['type']} and not BPE"
    for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(key):
            return f"its tokenizer uses {key}"
    if others := _types(data["post_processor"]) - POST_PROCESSORS:
        return f"its tokenizer ends with {min(others)}"
    if "ByteLevel" not in _types(data["pre_tokenizer"]) and not model.get("byte_fallback"):
        return "its tokenizer has no tokens for single bytes"
    if missing := Bpe(data).bytes.keys() - model["vocab"].keys():
        return f"its tokenizer lacks {len(missing)} of the 256 bytes"
    return None


def _types(part: Any) -> set[str]:
    """The types of a part of tokenizer.json and of the parts inside it."""
    return {node["type"] for node in _nodes(part)}


def _nodes(part: Any) -> Iterator[Json]:
    if isinstance(part, dict):
        if isinstance(part.get("type"), str):
            yield part
        for value in part.values():
            yield from _nodes(value)
    elif isinstance(part, list):
        for value in part:
            yield from _nodes(value)


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _renumber_template(part: Any, numbers: Mapping[int, int]) -> Any:
    """A post-processor with the numbers of the tokens that it adds changed."""
    if isinstance(part, list):
        return [_renumber_template(value, numbers) for value in part]
    if not isinstance(part, dict):
        return part
    return {
        key: [numbers[number] for number in value]
        if key == "ids"
        else _renumber_template(value, numbers)
        for key, value in part.items()
    }
