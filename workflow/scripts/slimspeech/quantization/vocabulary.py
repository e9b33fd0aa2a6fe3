"""Which tokens of a vocabulary a student keeps: those of its task, and all that they need."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex  # re knows no scripts
from tokenizers import Tokenizer

from slimspeech.artifacts import Row, read_jsonl, read_text
from slimspeech.errors import InputError
from slimspeech.quantization.bpe import Bpe

logger = logging.getLogger(__name__)

ROWS = 64  # a matrix of a multiple of so many rows is fast, and divides into 4-bit blocks


@dataclass(frozen=True)
class VocabularySettings:
    """size: tokens to keep, rounded down to a multiple of 64. scripts: of Unicode, such as "Han";
    every token that is written in one of them is kept."""

    size: int
    scripts: Sequence[str]


@dataclass(frozen=True)
class Texts:
    """targets: that the student is trained on. others: more of the same language. held_out: of
    which it is measured how much longer they get."""

    targets: Sequence[str]
    others: Sequence[str]
    held_out: Sequence[str]

    @classmethod
    def read(cls, targets: Sequence[str], others: Sequence[str], held_out: str) -> "Texts":
        """targets, held_out: paths of manifests. others: of plain text."""
        return cls(
            targets=[text for path in targets for text in _targets(path)],
            others=[line for path in others for line in read_text(path).splitlines()],
            held_out=_targets(held_out),
        )


def _targets(path: str) -> list[str]:
    return [row["target"].strip() for row in read_jsonl(path)]


def longer_texts(
    bpe: Bpe, named: Iterable[int], texts: Texts, sizes: Iterable[int], scripts: Sequence[str]
) -> list[Row]:
    """`size`, and `longer_percent` of the held-out texts, for several sizes; 0 without such texts.

    Arguments and errors are those of choose_vocabulary().
    """
    named, rows = list(named), []
    for size in sizes:
        vocabulary = choose_vocabulary(bpe, named, texts, VocabularySettings(size, scripts))
        longer = vocabulary["held_out"]["longer_percent"] or 0.0
        rows.append({"size": size, "longer_percent": longer})
    return rows


def choose_vocabulary(
    bpe: Bpe, named: Iterable[int], texts: Texts, settings: VocabularySettings
) -> Row:
    """The content of vocabulary.json; docs/outputs.md lists its keys.

    Kept are all bytes and the named tokens; then the tokens of the targets and of the other texts,
    the commonest first; then the first of the vocabulary, up to the size. A token is never kept
    without those it is merged from.
    named: ids, as from trim.named_tokens(); those of no token count for nothing. Raises InputError
    if the size is below what is always kept or above the vocabulary, and for a target that the
    trimmed tokenizer does not say as before.
    """
    whole = Tokenizer.from_str(json.dumps(bpe.data))
    tokens = {number: token for token, number in bpe.ids.items()}
    counts = [_count(whole, part) for part in (texts.targets, texts.others)]
    names = {tokens[number] for number in named if number in tokens}
    names |= bpe.added if bpe.keeps_added else set()
    always = bpe.ancestors({*bpe.bytes, *names, *_written_in(bpe, settings.scripts)})
    seen = [sorted(count, key=lambda number: (-count[number], number)) for count in counts]
    candidates = [tokens[number] for numbers in seen for number in numbers]
    rest = sorted(bpe.ids.keys() - bpe.added, key=bpe.ids.__getitem__)
    rows = settings.size // ROWS * ROWS
    _check_size(settings.size, len(always), len(bpe.ids))
    kept_tokens = _fill(bpe, always, [*candidates, *rest], rows)
    kept = sorted(bpe.ids[token] for token in kept_tokens)
    total = counts[0] + counts[1]
    dropped = Counter({n: count for n, count in total.items() if tokens[n] not in kept_tokens})
    trimmed = Tokenizer.from_str(json.dumps(bpe.trimmed(kept)))
    fitted = [*texts.targets, *texts.others]
    _check_targets(texts.targets, whole, trimmed)
    if lost := [tokens[n] for n in counts[0] if n in dropped]:
        logger.warning(
            "%d tokens of training targets are not kept, such as %s: the student says their words "
            "in smaller pieces; raise vocabulary.size or trim before training",
            len(lost),
            ", ".join(map(bpe.text, lost[:5])),
        )
    return {
        "tokens": len(bpe.ids),
        "size": len(kept),
        "kept": kept,
        "counts": [total[number] for number in kept],
        "dropped": [
            {"token": bpe.text(tokens[number]), "id": number, "count": count}
            for number, count in dropped.most_common()
        ],
        "fitted": _lengths(fitted, whole, trimmed),
        "held_out": _lengths(texts.held_out, whole, trimmed),
    }


def _written_in(bpe: Bpe, scripts: Sequence[str]) -> set[str]:
    if not scripts:
        return set()
    letter = regex.compile("[" + "".join(rf"\p{{{script}}}" for script in scripts) + "]")
    return {token for token in bpe.ids.keys() - bpe.added if letter.search(bpe.text(token))}


def _count(tokenizer: Tokenizer, texts: Sequence[str]) -> Counter[int]:
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return Counter(number for text in encoded for number in text.ids)


def _fill(bpe: Bpe, kept: set[str], candidates: Iterable[str], rows: int) -> set[str]:
    """The kept tokens, and candidates in their order with their ancestors, until there are `rows`.

    A candidate for whose ancestors there is no room is left out.
    """
    kept = set(kept)
    for token in candidates:
        if len(kept) == rows:
            break
        new = bpe.ancestors([token]) - kept
        if len(kept) + len(new) <= rows:
            kept |= new
    return kept


def _check_size(size: int, least: int, most: int) -> None:
    """Raises InputError for a size that cannot be."""
    smallest = -(-least // ROWS) * ROWS
    if size < smallest:
        raise InputError(
            f"vocabulary.size is {size}, and bytes, special tokens, the prompt and whole scripts "
            f"take {least} tokens; give {smallest} or more"
        )
    if size >= most:
        raise InputError(
            f"vocabulary.size is {size} and the model has {most} tokens; give fewer, or leave "
            "vocabulary out"
        )


def _check_targets(targets: Sequence[str], whole: Tokenizer, trimmed: Tokenizer) -> None:
    """Raises InputError, naming the first target that does not come back as before."""
    for target in targets:
        decoded, expected = (
            tokenizer.decode(tokenizer.encode(target, add_special_tokens=False).ids)
            for tokenizer in (trimmed, whole)
        )
        if decoded != expected:
            raise InputError(
                f"the trimmed vocabulary cannot say the training target {target[:80]!r} (it says "
                f"{decoded[:80]!r}); leave students.*.vocabulary out"
            )


def _lengths(texts: Sequence[str], whole: Tokenizer, trimmed: Tokenizer) -> Row:
    before, after = (_count(tokenizer, texts).total() for tokenizer in (whole, trimmed))
    longer = 100 * (after / before - 1) if before else None
    return {"texts": len(texts), "tokens": before, "trimmed": after, "longer_percent": longer}
