"""The sentence patterns of everyday life.

Each function draws one sentence: English, German, Chinese.
"""

from slimspeech_mini.german import HABEN, SEIN, contracted, number
from slimspeech_mini.phrases import (
    I_,
    WE,
    YOU,
    Clause,
    Draw,
    NounPhrase,
    Subject,
    Triple,
    compared,
    conditional,
    spoken,
)


def _person(d: Draw) -> Subject:
    roll = d.number(0, 9)
    if roll < 2:
        return WE
    if roll == 2:
        return I_
    return Subject.of(d.np("family", det=d.even(("my", "my", "the", "your", "our")), adj=20))


def _deed(d: Draw, tense: str = "past", subject: Subject | None = None, **adverbs) -> Clause:
    verb = d.verb("mishap" if tense == "past" and d.chance(8) else "home")
    return Clause(subject or _person(d), verb, d.obj(verb), tense, **adverbs)


def _not_me(d: Draw) -> Subject:
    """A subject whose present needs no first person singular."""
    subject = _person(d)
    return WE if subject is I_ else subject


def past(d: Draw) -> Triple:
    c = _deed(d, when=d.phrase("past_time"))
    return c.statement


def somewhere(d: Draw) -> Triple:
    c = _deed(d, after=d.phrase("place_in"))
    return c.statement


def plan(d: Draw) -> Triple:
    s, v, t = _person(d), d.verb("home"), d.phrase("future_time")
    o, will = d.obj(v), ("werde", "wird", "werden")[s.person]
    return (
        f"{s.en} will {v.en} {o.en} {t.en}.",
        f"{s.de} {will} {t.de} {o.acc} {v.infinitive}.",
        f"{s.zh}{t.zh}会{v.zh}{o.zh}。",
    )


def habit(d: Draw) -> Triple:
    c = _deed(d, "present", _not_me(d), before=d.phrase("habit"))
    return c.statement


def weather(d: Draw) -> Triple:
    w, c = d.phrase("weather"), _deed(d)
    words = w.de.split(" ")
    verb = words.pop(2 if words[0] == "die" else 1)
    final = " ".join([*words, verb])
    return f"{c.en} because {w.en}.", f"{c.de}, weil {final}.", f"因为{w.zh}，{c.zh}。"


def price(d: Draw) -> Triple:
    n = d.number(2, 99)
    x = d.np("clothes", "goods", "food", det=d.even(("the", "this", "these")))
    cost, kosten = ("cost", "kosten") if x.plural else ("costs", "kostet")
    return f"{x.en} {cost} {spoken(n)} euros.", f"{x.nom} {kosten} {n} Euro.", f"{x.zh}要{n}欧元。"


def question(d: Draw) -> Triple:
    v = d.verb("home")
    c = Clause(YOU, v, d.obj(v), "past", when=d.phrase("past_time"))
    return f"did you {v.en} {c.obj.en} {c.when.en}?", f"{c.de_inverted}?", f"{c.zh}吗？"


def request(d: Draw) -> Triple:
    v, adverb = d.verb("home"), d.phrase("place_in")
    o = d.obj(v)
    return (
        f"could you please {v.en} {o.en} {adverb.en}?",
        f"könnten Sie bitte {o.acc} {adverb.de} {v.infinitive}?",
        f"您能{adverb.zh}{v.zh}{o.zh}吗？",
    )


def where(d: Draw) -> Triple:
    s, v = _person(d), d.verb("home")
    o = d.obj(v)
    return (
        f"where did {s.en} {v.en} {o.en}?",
        f"wo {HABEN[s.person]} {s.de} {o.acc} {v.part}?",
        f"{s.zh}在哪里{v.zh}了{o.zh}？",
    )


def travel(d: Draw) -> Triple:
    s, t = _person(d), d.np("vehicle", det="the", plural=False, adj=0)
    c, w = d.phrase("towns"), d.phrase("past_time")
    return (
        f"{s.en} went to {c.en} by {t.noun.en} {w.en}.",
        f"{s.de} {SEIN[s.person]} {w.de} mit {t.dat} nach {c.de} gefahren.",
        f"{s.zh}{w.zh}坐{t.zh}去了{c.zh}。",
    )


def departure(d: Draw) -> Triple:
    x, c, n = d.np("public", det="the", plural=False, adj=20), d.phrase("towns"), d.number(2, 12)
    return (
        f"{x.en} to {c.en} leaves in {spoken(n)} minutes.",
        f"{x.nom} nach {c.de} fährt in {number(n)} Minuten ab.",
        f"去{c.zh}的{x.zh}{n}分钟后出发。",
    )


def location(d: Draw) -> Triple:
    x = d.np("goods", "clothes", "animal", det=d.even(("the", "my", "your")))
    y = d.np("place", det="the", plural=False)
    be, ist = x.be
    return (
        f"{x.en} {be} in {y.en}.",
        f"{x.nom} {ist} {contracted('in ' + y.dat)}.",
        f"{x.zh}在{y.zh}里。",
    )


def comparison(d: Draw) -> Triple:
    kind = d.even(("family", "food", "clothes", "goods", "animal", "place"))
    x = d.np(kind, det=d.even(("the", "your")), plural=False, adj=0)
    y = d.np(kind, det="my", plural=False, adj=0)
    return compared(x, y, d.one([a for a in d.lexicon.adjectives[kind] if a.predicate]))


def condition(d: Draw) -> Triple:
    return conditional(_deed(d, "present", _not_me(d)), _deed(d, d.even(("can", "must"))))


def two_people(d: Draw) -> Triple:
    a, b = _deed(d), _deed(d)
    return f"{a.en}, but {b.en}.", f"{a.de}, aber {b.de}.", f"{a.zh}，但是{b.zh}。"


def recipe(d: Draw) -> Triple:
    x, n = d.np("dish", det="this", plural=False, adj=20), d.number(2, 12)
    y, z = NounPhrase(d.noun("ingredient"), n, True), NounPhrase(d.noun("staple"), "", False)
    return (
        f"for {x.en} you need {y.en} and {z.en}.",
        f"für {x.acc} brauchen Sie {y.acc} und {z.acc}.",
        f"做{x.zh}，您需要{y.zh}和{z.zh}。",
    )


def games(d: Draw) -> Triple:
    s, g, p = _not_me(d), d.phrase("games"), d.phrase("place_in")
    play, spielen = ("plays", "spielt") if s.person == 1 else ("play", "spielen")
    return (
        f"{s.en} {play} {g.en} {p.en}.",
        f"{s.de} {spielen} {p.de} {g.de}.",
        f"{s.zh}{p.zh}{g.zh}。",
    )


def wish(d: Draw) -> Triple:
    s, v = _person(d), d.verb("home")
    o = d.obj(v)
    want = "wants" if s.person == 1 else "want"
    will = "wollen" if s.person == 2 else "will"
    return (
        f"{s.en} {want} to {v.en} {o.en}.",
        f"{s.de} {will} {o.acc} {v.infinitive}.",
        f"{s.zh}想{v.zh}{o.zh}。",
    )


# pattern, weight
PATTERNS = (
    (past, 8), (somewhere, 6), (plan, 6), (habit, 6), (weather, 6), (price, 4), (question, 5),
    (request, 4), (where, 4), (travel, 5), (departure, 3), (location, 4), (comparison, 4),
    (condition, 5), (two_people, 5), (recipe, 4), (games, 3), (wish, 5),
)  # fmt: skip
