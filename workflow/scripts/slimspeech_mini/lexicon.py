"""The words of the mini corpus, read from resources/mini/lexicon/<domain>.yaml."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from slimspeech.errors import InputError
from slimspeech_mini import german

# The keys of an entry that hold its translations.
_GERMAN = ("de", "g", "pl", "gen", "dpl", "obl", "infl", "mehr", "part", "s")
_CHINESE = ("zh", "cl")

FOLDER = Path(__file__).resolve().parents[3] / "resources" / "mini" / "lexicon"


@dataclass(frozen=True)
class Noun:
    """de_sg, de_pl: the four cases; de_pl is empty for a noun without a plural."""

    en: str
    en_pl: str
    de_sg: tuple[str, ...]
    de_pl: tuple[str, ...]
    gender: str
    zh: str
    measure: str
    kind: str
    number: str  # "both", "mass" (singular only, no article) or "plural"
    an: bool
    term: bool


@dataclass(frozen=True)
class Adjective:
    """de: without an ending. stem: takes endings. predicate: whether it can follow "is"."""

    en: str
    more: str
    de: str
    stem: str
    mehr: str
    zh: str
    kind: str
    predicate: bool
    an: bool
    term: bool


@dataclass(frozen=True)
class Verb:
    """A transitive verb. objects: the classes of noun that it takes. plural: its object is plural.
    tool: it takes an instrument, "with" something."""

    en: str
    en_s: str
    past: str
    past_participle: str
    ing: str
    prefix: str
    base: str
    third: str
    part: str
    zh: str
    kind: str
    objects: tuple[str, ...]
    plural: bool
    tool: bool
    term: bool

    @property
    def infinitive(self) -> str:
        return self.prefix + self.base

    @property
    def zu(self) -> str:
        """The infinitive with zu, which stands inside a separable verb."""
        return f"{self.prefix}zu{self.base}" if self.prefix else f"zu {self.base}"


@dataclass(frozen=True)
class Phrase:
    """Anything that is not inflected: adverbs, names, openers."""

    en: str
    de: str
    zh: str
    term: bool = False


@dataclass(frozen=True)
class Lexicon:
    nouns: dict[str, tuple[Noun, ...]]
    adjectives: dict[str, tuple[Adjective, ...]]  # by the class of noun they go with
    verbs: dict[str, tuple[Verb, ...]]
    phrases: dict[str, tuple[Phrase, ...]]


@cache
def load(domain: str, terms: bool = True, terminology: bool = False) -> Lexicon:
    """The lexicon of `domain` ("talk", "everyday").

    terms: with the entries marked as technical terms. terminology: with the translations in
    terminology.yaml. Raises InputError if an English word has two entries, if a verb's past is its
    present, or if the lexicon lacks a word of the terminology.
    """
    path = FOLDER / f"{domain}.yaml"
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    if terminology:
        _apply_terminology(table)
    nouns = {k: tuple(_noun(e, k) for e in rows) for k, rows in table["nouns"].items()}
    adjectives = {
        k: tuple(_adjective(e, k) for e in rows) for k, rows in table["adjectives"].items()
    }
    verbs = {k: tuple(_verb(e, k) for e in rows) for k, rows in table["verbs"].items()}
    other = {"nouns", "adjectives", "verbs", "modifiers", "aliases"}
    phrases = {k: tuple(Phrase(**e) for e in rows) for k, rows in table.items() if k not in other}
    for group in (nouns, adjectives, verbs):
        _check_unique([entry for rows in group.values() for entry in rows], path)
    for name, members in table.get("aliases", {}).items():
        nouns[name] = tuple(n for rows in list(nouns.values()) for n in rows if n.en in members)
    fitting = {
        kind: tuple(a for group in groups for a in adjectives[group])
        for kind, groups in table["modifiers"].items()
    }

    def kept(group):
        return {k: tuple(e for e in rows if terms or not e.term) for k, rows in group.items()}

    return Lexicon(kept(nouns), kept(fitting), kept(verbs), kept(phrases))


def _apply_terminology(table: dict) -> None:
    """Change entries of the table to the translations in terminology.yaml."""
    path = FOLDER / "terminology.yaml"
    for group, words in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        for rows in table[group].values():
            for entry in rows:
                changed = words.pop(entry["en"], {})
                # The forms of the old word are removed with it: its plural, its measure word, …
                old = (_GERMAN if "de" in changed else ()) + (_CHINESE if "zh" in changed else ())
                for key in old:
                    entry.pop(key, None)
                entry |= changed
        if words:
            raise InputError(f"{path}: {', '.join(words)} is not among the {group} of the lexicon")


def _check_unique(entries: list, path: Path) -> None:
    seen = set()
    for entry in entries:
        if entry.en in seen:
            raise InputError(
                f"{path}: {entry.en!r} has two entries; keep one, because it needs one translation"
            )
        seen.add(entry.en)
        if isinstance(entry, Verb) and entry.past == entry.en:
            raise InputError(
                f"{path}: the past of {entry.en!r} is its present; choose another verb"
            )


def _noun(e: dict, kind: str) -> Noun:
    gender, de = e["g"], e["de"]
    number = "mass" if e.get("mass") else "plural" if e.get("plural_only") else "both"
    oblique = e.get("obl", de)
    plural = e.get("pl")
    de_pl = (plural, plural, e.get("dpl", german.dative_plural(plural)), plural) if plural else ()
    de_sg = (de, oblique, oblique, e.get("gen", german.genitive(de, gender)))
    en_pl = e.get("en_pl", e["en"] if number == "plural" else _with_s(e["en"]))
    return Noun(
        e["en"], en_pl, de_sg, de_pl, gender, e["zh"], e.get("cl", "个"), kind, number,
        e.get("an", _starts_with_vowel(e["en"])), e.get("term", False),
    )  # fmt: skip


def _adjective(e: dict, kind: str) -> Adjective:
    stem = e.get("infl", e["de"])
    return Adjective(
        e["en"], e.get("more", f"more {e['en']}"), e["de"], stem,
        e.get("mehr", stem.removesuffix("e") + "er"), e["zh"], kind, e.get("pred", True),
        e.get("an", _starts_with_vowel(e["en"])), e.get("term", False),
    )  # fmt: skip


def _verb(e: dict, kind: str) -> Verb:
    en = e["en"]
    head, _, particle = en.partition(" ")
    rest = f" {particle}" if particle else ""
    stem = head[:-1] if head.endswith("e") and not head.endswith("ee") else head
    doubled = en != e.get("past", en) and e.get("past", "").startswith(head + head[-1])
    past = e.get("past", stem + "ed" + rest)
    ing = e.get("ing", (head + head[-1] if doubled else stem) + "ing" + rest)
    prefix, _, base = e["de"].rpartition("|")
    third = e.get("s", german.third_person(base))
    part = e.get("part", german.participle(base, prefix))
    return Verb(
        en, _with_s(head) + rest, past, e.get("done", past), ing, prefix, base, third, part,
        e["zh"], kind, tuple(e["obj"]), e.get("plural", False), e.get("tool", False),
        e.get("term", False),
    )  # fmt: skip


def _with_s(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _starts_with_vowel(word: str) -> bool:
    return word[0].lower() in "aeiou"
