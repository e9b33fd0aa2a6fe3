"""Noun phrases and clauses in three languages at once, and the random choice of their words."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

from slimspeech_mini import german
from slimspeech_mini.lexicon import Adjective, Lexicon, Noun, Phrase, Verb

T = TypeVar("T")
Triple = tuple[str, str, str]  # a sentence in English, German and Chinese

# English, German kind (inflected), Chinese ({} is the measure word)
_DETERMINERS = {
    "the": ("the", "der", ""),
    "a": ("a", "ein", "一{}"),
    "this": ("this", "dies", "这{}"),
    "these": ("these", "dies", "这些"),
    "our": ("our", "unser", "我们的"),
    "my": ("my", "mein", "我的"),
    "your": ("your", "Ihr", "您的"),
    "all": ("all", "all", "所有"),
    "": ("", "", ""),
}
_FIXED = {  # German words without an ending, before a strong adjective
    "many": ("viele", "很多"),
    "several": ("mehrere", "好几{}"),
    "some": ("einige", "一些"),
}
_FIXED_DATIVE = {"viele": "vielen", "mehrere": "mehreren", "einige": "einigen"}
_PLURAL = ("", "many", "several", "some", "all", "these", *range(2, 100))
_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ZH_NUMBERS = "零一两三四五六七八九十"


def spoken(number: int) -> str:
    """The English words for a number below ten thousand."""
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return _TENS[tens - 2] + (f" {_UNITS[rest]}" if rest else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, size)
    return f"{spoken(head)} {name}" + (f" {spoken(rest)}" if rest else "")


def year(number: int) -> str:
    """The English words for a year from 2010 on."""
    return f"twenty {spoken(number % 100)}"


@dataclass(frozen=True)
class NounPhrase:
    noun: Noun
    det: str | int
    plural: bool
    adj: Adjective | None = None

    @property
    def gender(self) -> str:
        return "p" if self.plural else self.noun.gender

    @property
    def en(self) -> str:
        word = self.noun.en_pl if self.plural else self.noun.en
        first = self.adj or self.noun
        det = spoken(self.det) if isinstance(self.det, int) else self.det
        if det == "a" and first.an:
            det = "an"
        return " ".join(w for w in (det, self.adj.en if self.adj else "", word) if w)

    def de(self, case: str) -> str:
        """The phrase in German."""
        forms = self.noun.de_pl if self.plural else self.noun.de_sg
        kind, det = "", ""
        if isinstance(self.det, int):
            det = german.number(self.det)
        elif self.det in _FIXED:
            det = _FIXED[self.det][0]
            det = _FIXED_DATIVE[det] if case == "dat" else det
        elif self.det:
            kind = _DETERMINERS[self.det][1]
            det = german.determiner(kind, case, self.gender)
        adj = german.adjective(self.adj.stem, kind, case, self.gender) if self.adj else ""
        return " ".join(w for w in (det, adj, forms[german.CASES.index(case)]) if w)

    nom = property(lambda self: self.de("nom"))
    acc = property(lambda self: self.de("acc"))
    dat = property(lambda self: self.de("dat"))
    gen = property(lambda self: self.de("gen"))

    @property
    def relative(self) -> str:
        """The accusative relative pronoun that refers to this phrase."""
        return german.determiner("der", "acc", self.gender)

    @property
    def zh(self) -> str:
        measure = self.noun.measure
        if isinstance(self.det, int):
            count = _ZH_NUMBERS[self.det] if self.det <= 10 else str(self.det)
            det = count + measure
        else:
            pattern = _FIXED[self.det][1] if self.det in _FIXED else _DETERMINERS[self.det][2]
            det = pattern.format(measure)
        if self.noun.number == "mass":
            det = {"这个": "这种"}.get(det, det)
        if self.adj and self._linked:
            det = det.removesuffix("的")  # one 的 is enough: 我们有趣的想法
        adj = self.adj.zh + ("的" if self._linked else "") if self.adj else ""
        return det + adj + self.noun.zh

    @property
    def be(self) -> tuple[str, str]:
        """The verb "be" in English and German."""
        return ("are", "sind") if self.plural else ("is", "ist")

    @property
    def _linked(self) -> bool:
        """Whether 的 follows the adjective: not if it is one character, or only classifies."""
        return len(self.adj.zh) > 1 and self.adj.predicate


@dataclass(frozen=True)
class Subject:
    """`person`: 0 for I, 1 for the third person singular, 2 for any plural (and Sie)."""

    en: str
    de: str
    zh: str
    person: int

    @classmethod
    def of(cls, phrase: NounPhrase) -> "Subject":
        return cls(phrase.en, phrase.nom, phrase.zh, 2 if phrase.plural else 1)


WE = Subject("we", "wir", "我们", 2)
THEY = Subject("they", "sie", "他们", 2)
I_ = Subject("I", "ich", "我", 0)
YOU = Subject("you", "Sie", "您", 2)
_MODALS = {"can": ("können", "可以"), "must": ("müssen", "必须"), "should": ("sollten", "应该")}
_NOTHING = Phrase("", "", "")


@dataclass(frozen=True)
class Clause:
    """Subject, verb, object, adverbs. `tense`: "past", "present", or an English modal."""

    subject: Subject
    verb: Verb
    obj: NounPhrase
    tense: str = "past"
    negated: bool = False
    when: Phrase = _NOTHING  # time: last in English, before the object in German
    before: Phrase = _NOTHING  # adverb between subject and verb
    after: Phrase = _NOTHING  # adverb or prepositional phrase after the object

    @property
    def en(self) -> str:
        third = self.subject.person == 1
        if self.tense == "past":
            verb = f"did not {self.verb.en}" if self.negated else self.verb.past
        elif self.tense == "present":
            no = f"{'does' if third else 'do'} not {self.verb.en}"
            verb = no if self.negated else self.verb.en_s if third else self.verb.en
        else:
            no = "cannot" if self.tense == "can" else f"{self.tense} not"
            verb = f"{no if self.negated else self.tense} {self.verb.en}"
        return _join(
            self.subject.en, self.before.en, verb, self.obj.en, self.after.en, self.when.en
        )

    def _de_parts(self) -> tuple[str, str, str]:
        """The finite verb, the middle field, and the end of the main clause."""
        person = self.subject.person
        no = "nicht" if self.negated else ""
        middle = _join(self.when.de, self.before.de, self.obj.acc, no, self.after.de)
        if self.tense == "past":
            return german.HABEN[person], middle, self.verb.part
        if self.tense == "present":
            finite = self.verb.third if person == 1 else self.verb.base
            return finite, middle, self.verb.prefix
        return german.MODALS[_MODALS[self.tense][0]][person], middle, self.verb.infinitive

    @property
    def de(self) -> str:
        """Verb second, the subject first."""
        finite, middle, end = self._de_parts()
        return _join(self.subject.de, finite, middle, end)

    @property
    def de_inverted(self) -> str:
        """Verb first, for questions and after a fronted phrase."""
        finite, middle, end = self._de_parts()
        return _join(finite, self.subject.de, middle, end)

    @property
    def de_final(self) -> str:
        """Verb last, for subordinate clauses."""
        finite, middle, end = self._de_parts()
        if self.tense == "present":
            return _join(self.subject.de, middle, end + finite)
        return _join(self.subject.de, middle, end, finite)

    @property
    def zh(self) -> str:
        verb = self.verb.zh
        if self.tense == "past":
            verb = f"没有{self.after.zh}{verb}" if self.negated else f"{self.after.zh}{verb}了"
        elif self.tense == "present":
            verb = f"不{self.after.zh}{verb}" if self.negated else f"{self.after.zh}{verb}"
        else:
            modal = "不应该" if self.tense == "should" else "不能"
            verb = (modal if self.negated else _MODALS[self.tense][1]) + self.after.zh + verb
        every = "都" if self.subject.zh.startswith("所有") else ""
        return f"{self.subject.zh}{self.when.zh}{every}{self.before.zh}{verb}{self.obj.zh}"

    @property
    def statement(self) -> Triple:
        return f"{self.en}.", f"{self.de}.", f"{self.zh}。"


def compared(x: NounPhrase, y: NounPhrase, a: Adjective) -> Triple:
    be, ist = x.be
    return (
        f"{x.en} {be} {a.more} than {y.en}.",
        f"{x.nom} {ist} {a.mehr} als {y.nom}.",
        f"{x.zh}比{y.zh}更{a.zh}。",
    )


def conditional(a: Clause, b: Clause) -> Triple:
    return f"if {a.en}, {b.en}.", f"wenn {a.de_final}, {b.de_inverted}.", f"如果{a.zh}，{b.zh}。"


def _join(*words: str) -> str:
    return " ".join(w for w in words if w)


class Draw:
    """Random words from a lexicon. It has one random generator, so a seed gives one stream."""

    def __init__(self, lexicon: Lexicon, rng: random.Random):
        self.lexicon = lexicon
        self.rng = rng

    def one(self, items: Sequence[T]) -> T:
        """One of `items`; the first is about three times as likely as the fortieth."""
        weights = list(accumulate(1000 // (20 + rank) for rank in range(len(items))))
        return items[bisect_right(weights, self.rng.randrange(weights[-1]))]

    def even(self, items: Sequence[T]) -> T:
        """One of `items`, all equally likely."""
        return items[self.rng.randrange(len(items))]

    def chance(self, percent: int) -> bool:
        return self.rng.randrange(100) < percent

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return self.rng.randint(low, high)

    def phrase(self, kind: str) -> Phrase:
        return self.even(self.lexicon.phrases[kind])

    def phrases(self, kind: str, count: int) -> list[Phrase]:
        """`count` different phrases."""
        return self.rng.sample(self.lexicon.phrases[kind], count)

    def noun(self, *kinds: str) -> Noun:
        return self.one([n for kind in kinds for n in self.lexicon.nouns[kind]])

    def verb(
        self, kind: str, *, unlike: Verb | None = None, tool: bool = False, single: bool = False
    ) -> Verb:
        """A verb other than `unlike`; `tool`: with an instrument, `single`: a singular object."""
        return self.one(
            [
                v
                for v in self.lexicon.verbs[kind]
                if v != unlike and (v.tool or not tool) and not (single and v.plural)
            ]
        )

    def np(
        self, *kinds: str, det: str | None = None, plural: bool | None = None, adj: int = 40
    ) -> NounPhrase:
        """A noun phrase of one of the classes; `adj` percent have an adjective.

        `det` fixes the determiner. Without one (""), the noun is plural, unless it is a mass noun.
        """
        noun = self.noun(self.even(kinds))
        if plural is None:
            plural = det in _PLURAL or (det not in ("a", "this") and self.chance(40))
        plural = noun.number == "plural" or (plural and noun.number == "both")
        if noun.number == "plural" and det in ("a", "this"):
            det = "the"
        if det in ("this", "these"):
            det = "these" if plural else "this"
        if noun.number == "mass":
            det = "the" if det in ("a", None, "these") else det
        elif det is None:
            count = self.number(2, 19)
            if noun.number == "plural":
                choices = ("the", "", "our", "all")
            elif plural:
                choices = ("the", "", "these", "our", "many", "some", "several", "all", count)
            else:
                choices = ("the", "the", "the", "a", "a", "a", "this", "our")
            det = self.even(choices)
        fitting = self.lexicon.adjectives.get(noun.kind, ())
        adjective = self.one(fitting) if fitting and self.chance(adj) else None
        return NounPhrase(noun, det, plural, adjective)

    def obj(self, verb: Verb, **options) -> NounPhrase:
        """A noun phrase that `verb` can take."""
        if verb.plural:
            determiners = ("the", "these", "our", "", self.number(2, 19))
            options |= {"plural": True, "det": self.even(determiners)}
        kinds = [k for k in verb.objects if self.lexicon.nouns[k]]
        return self.np(*kinds, **options)

    def pair(self, kinds: Sequence[str], one: dict, other: dict) -> tuple[NounPhrase, NounPhrase]:
        """Two noun phrases of one class, different nouns; `one` and `other`: options of np."""
        kind = self.even([k for k in kinds if self.lexicon.nouns[k]])
        first = second = self.np(kind, **one)
        while second.noun == first.noun:
            second = self.np(kind, **other)
        return first, second

    def definite(self, verb: Verb) -> NounPhrase:
        """An object with a definite article, which "nicht" can negate."""
        return self.obj(verb, det="the")
