"""The sentence patterns of the conference talk.

Each function draws one sentence: English, German, Chinese.
"""

from slimspeech_mini.german import HABEN, contracted, number
from slimspeech_mini.lexicon import Verb
from slimspeech_mini.phrases import (
    I_,
    THEY,
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
    year,
)

THINGS = ("system", "text", "method", "phenomenon")


def _agent(d: Draw, *, first: bool = False) -> Subject:
    """We, they or people; with `first` also I."""
    roll = d.number(0, 9)
    if roll < 3:
        return WE
    if roll == 3:
        return THEY
    if roll == 4 and first:
        return I_
    return Subject.of(d.np("person", adj=25))


def _people(d: Draw, tense: str = "past", **adverbs) -> Clause:
    verb = d.verb("agent")
    return Clause(_agent(d, first=tense != "present"), verb, d.obj(verb), tense, **adverbs)


def _machine(d: Draw, tense: str = "present", **adverbs) -> Clause:
    verb = d.verb("machine")
    return Clause(_actor(d, verb), verb, d.obj(verb, adj=25), tense, **adverbs)


def _actor(d: Draw, verb: Verb) -> Subject:
    """A system; if the verb changes a quality or solves a problem, also a method or process."""
    abstract = {"quality", "problemlike"} & set(verb.objects)
    kinds = ("system", "method", "process") if abstract else ("system",)
    return Subject.of(d.np(*kinds, adj=30))


def _any(d: Draw) -> Clause:
    if d.chance(50):
        return _people(d)
    return _machine(d, d.even(("present", "past")))


def past(d: Draw) -> Triple:
    adverb = {"when": d.phrase("time")} if d.chance(40) else {"after": d.phrase("manner")}
    c = _people(d, **adverb)
    return c.statement


def habit(d: Draw) -> Triple:
    c = d.even((_people, _machine))(d, "present", before=d.phrase("frequency"))
    return c.statement


def modal(d: Draw) -> Triple:
    tense = d.even(("can", "should"))
    c = _people(d, tense, after=d.phrase("manner")) if d.chance(60) else _machine(d, tense)
    return c.statement


def negation(d: Draw) -> Triple:
    kind = d.even(("agent", "machine"))
    verb = d.verb(kind)
    tense = d.even(("past", "can", "should") if kind == "agent" else ("past", "present", "can"))
    subject = _agent(d) if kind == "agent" else _actor(d, verb)
    c = Clause(subject, verb, d.definite(verb), tense, negated=True)
    return c.statement


def passive(d: Draw) -> Triple:
    verb = d.verb("agent")
    o, by = d.obj(verb), d.np("person")
    be, wurde = ("were", "wurden") if o.plural else ("was", "wurde")
    return (
        f"{o.en} {be} {verb.past_participle} by {by.en}.",
        f"{o.nom} {wurde} {contracted('von ' + by.dat)} {verb.part}.",
        f"{o.zh}是由{by.zh}{verb.zh}的。",
    )


def passive_manner(d: Draw) -> Triple:
    verb, how = d.verb("agent"), d.phrase("manner")
    o = d.obj(verb)
    be, wird = ("are", "werden") if o.plural else ("is", "wird")
    return (
        f"{o.en} {be} {verb.past_participle} {how.en}.",
        f"{o.nom} {wird} {how.de} {verb.part}.",
        f"{o.zh}被{how.zh}{verb.zh}。",
    )


def question(d: Draw) -> Triple:
    verb = d.verb("agent")
    c = Clause(d.even((YOU, THEY)), verb, d.obj(verb), "past")
    return f"did {c.subject.en} {verb.en} {c.obj.en}?", f"{c.de_inverted}?", f"{c.zh}吗？"


def question_can(d: Draw) -> Triple:
    c = _machine(d, "can")
    return f"can {c.subject.en} {c.verb.en} {c.obj.en}?", f"{c.de_inverted}?", f"{c.zh}吗？"


def question_how(d: Draw) -> Triple:
    verb = d.verb("agent")
    c = Clause(d.even((WE, YOU, THEY)), verb, d.obj(verb), "can")
    return (
        f"how can {c.subject.en} {verb.en} {c.obj.en}?",
        f"wie {c.de_inverted}?",
        f"{c.subject.zh}如何才能{verb.zh}{c.obj.zh}？",
    )


def question_why(d: Draw) -> Triple:
    c = _people(d)
    zh = f"{c.subject.zh}为什么{c.verb.zh}了{c.obj.zh}？"
    return f"why did {c.subject.en} {c.verb.en} {c.obj.en}?", f"warum {c.de_inverted}?", zh


def question_which(d: Draw) -> Triple:
    verb, noun = d.verb("machine"), d.noun("system", "method")
    o = d.obj(verb)
    which = NounPhrase(noun, "the", True)
    kind = noun.measure if noun.measure == "种" else "些"
    return (
        f"which {which.noun.en_pl} can {verb.en} {o.en}?",
        f"welche {which.noun.de_pl[0]} können {o.acc} {verb.infinitive}?",
        f"哪{kind}{noun.zh}可以{verb.zh}{o.zh}？",
    )


def because(d: Draw) -> Triple:
    a, b = _any(d), _any(d)
    return f"{a.en} because {b.en}.", f"{a.de}, weil {b.de_final}.", f"因为{b.zh}，所以{a.zh}。"


def although(d: Draw) -> Triple:
    a, b = _any(d), _any(d)
    return (
        f"although {a.en}, {b.en}.",
        f"obwohl {a.de_final}, {b.de_inverted}.",
        f"虽然{a.zh}，但是{b.zh}。",
    )


def when(d: Draw) -> Triple:
    a, b = _people(d), d.even((_people, _machine))(d, "past")
    return f"when {a.en}, {b.en}.", f"als {a.de_final}, {b.de_inverted}.", f"当{a.zh}时，{b.zh}。"


def condition(d: Draw) -> Triple:
    return conditional(_machine(d), d.even((_people, _machine))(d, "can"))


_SAYING = (
    ("we believe", "wir glauben", "我们认为"),
    ("this result shows", "dieses Ergebnis zeigt", "这个结果表明"),
    ("I think", "ich denke", "我觉得"),
    ("we know", "wir wissen", "我们知道"),
    ("the last column suggests", "die letzte Spalte legt nahe", "最后一列说明"),
    ("it is important", "es ist wichtig", "重要的是"),
    ("we noticed", "wir haben bemerkt", "我们注意到"),
    ("our hypothesis is", "unsere Hypothese ist", "我们的假设是"),
)


def reported(d: Draw) -> Triple:
    c = _any(d)
    en, de, zh = d.even(_SAYING)
    return f"{en} that {c.en}.", f"{de}, dass {c.de_final}.", f"{zh}，{c.zh}。"


def relative(d: Draw) -> Triple:
    """The corpus that we annotated contains three rare idioms."""
    verb, actor = d.verb("agent"), d.even((WE, THEY))
    o = d.obj(verb, det="the", plural=False)
    be, ist = o.be
    a = d.one(_predicates(d, o))
    return (
        f"{o.en} that {actor.en} {verb.past} {be} {a.en}.",
        f"{o.nom}, {o.relative} {actor.de} {verb.part} haben, {ist} {a.de}.",
        f"{actor.zh}{verb.zh}的{o.zh}很{a.zh}。",
    )


def relative_object(d: Draw) -> Triple:
    """We use the tokenizer that the students developed."""
    outer = d.verb("agent", single=True)
    o = d.definite(outer)
    verbs = [v for v in d.lexicon.verbs["agent"] if o.noun.kind in v.objects and not v.plural]
    inner = d.even([v for v in verbs if v != outer])
    s, by = d.even((WE, THEY)), Subject.of(d.np("person", det="the", adj=20))
    haben = HABEN[by.person]
    return (
        f"{s.en} {outer.past} {o.en} that {by.en} {inner.past}.",
        f"{s.de} haben {o.acc} {outer.part}, {o.relative} {by.de} {inner.part} {haben}.",
        f"{s.zh}{outer.zh}了{by.zh}{inner.zh}的{o.zh}。",
    )


def _predicates(d: Draw, o: NounPhrase) -> list:
    kind = o.noun.kind if o.noun.kind in d.lexicon.adjectives else "exhibit"
    return [a for a in d.lexicon.adjectives[kind] if a.predicate]


def purpose(d: Draw) -> Triple:
    a = _people(d)
    v = d.verb("agent", unlike=a.verb)
    o = d.obj(v, adj=20)
    return (
        f"in order to {v.en} {o.en}, {a.en}.",
        f"um {o.acc} {v.zu}, {a.de_inverted}.",
        f"为了{v.zh}{o.zh}，{a.zh}。",
    )


def without(d: Draw) -> Triple:
    a = _people(d)
    v = d.verb("agent", unlike=a.verb)
    o = d.obj(v, det=None if v.plural else "the", adj=20)
    return (
        f"{a.en} without {v.ing} {o.en}.",
        f"{a.de}, ohne {o.acc} {v.zu}.",
        f"{a.subject.zh}在不{v.zh}{o.zh}的情况下{a.verb.zh}了{a.obj.zh}。",
    )


def comparison(d: Draw) -> Triple:
    one = {"det": d.even(("the", "this", "our")), "plural": False, "adj": 0}
    x, y = d.pair(THINGS, one, {"det": "the", "adj": 30})
    return compared(x, y, d.one(_predicates(d, x)))


def equal(d: Draw) -> Triple:
    x, y = d.pair(THINGS, {"det": "the", "adj": 20}, {"det": "our", "adj": 0})
    a = d.one(_predicates(d, x))
    be, ist = x.be
    return (
        f"{x.en} {be} as {a.en} as {y.en}.",
        f"{x.nom} {ist} so {a.de} wie {y.nom}.",
        f"{x.zh}和{y.zh}一样{a.zh}。",
    )


_CHANGES = (
    ("increased", "ist", "gestiegen", "上升了"),
    ("dropped", "ist", "gefallen", "下降了"),
    ("grew", "ist", "gewachsen", "增长了"),
)


def percent(d: Draw) -> Triple:
    q, n = d.np("quality", det="the"), d.number(2, 99)
    x = d.np("system", "method", det=d.even(("the", "our", "this")), plural=False)
    en, aux, part, zh = d.even(_CHANGES)
    return (
        f"{q.en} of {x.en} {en} by {spoken(n)} percent.",
        f"{q.nom} {x.gen} {aux} um {n} Prozent {part}.",
        f"{x.zh}的{q.noun.zh}{zh}{n}%。",
    )


def share(d: Draw) -> Triple:
    n, x = d.number(2, 99), d.np("text", det=d.even(("the", "our", "these")), plural=True)
    y = d.np("phenomenon", det=d.even(("a", "many", "several", "")))
    return (
        f"{spoken(n)} percent of {x.en} contain {y.en}.",
        f"{n} Prozent {x.gen} enthalten {y.acc}.",
        f"{x.zh}中有{n}%包含{y.zh}。",
    )


def contains(d: Draw) -> Triple:
    x = d.np("text", det=d.even(("the", "this", "our")), plural=False)
    n = d.number(2, 99) * d.even((1, 1, 10, 100))
    unit, lang = d.noun(d.even(("phenomenon", "phenomenon", "speechlike"))), d.phrase("languages")
    contain, enthalten = ("contain", "enthalten") if x.plural else ("contains", "enthält")
    return (
        f"{x.en} {contain} {spoken(n)} {unit.en_pl} in {lang.en}.",
        f"{x.nom} {enthalten} {number(n)} {unit.de_pl[1]} auf {lang.de}.",
        f"{x.zh}包含{n}{unit.measure}{lang.zh}{unit.zh}。",
    )


def in_year(d: Draw) -> Triple:
    y, c = d.number(2010, 2026), _people(d)
    return f"in {year(y)}, {c.en}.", f"im Jahr {y} {c.de_inverted}.", f"{y}年，{c.zh}。"


def both_objects(d: Draw) -> Triple:
    s, v = _agent(d), d.verb("agent", single=True)
    o, p = d.pair(v.objects, {"adj": 30}, {"adj": 30})
    return (
        f"{s.en} {v.past} {o.en} and {p.en}.",
        f"{s.de} {HABEN[s.person]} {o.acc} und {p.acc} {v.part}.",
        f"{s.zh}{v.zh}了{o.zh}和{p.zh}。",
    )


def both_verbs(d: Draw) -> Triple:
    a = _people(d)
    w = d.verb("agent", unlike=a.verb)
    p = d.obj(w, adj=30)
    return (
        f"{a.en} and {w.past} {p.en}.",
        f"{a.de} und {p.acc} {w.part}.",
        f"{a.zh}，并{w.zh}了{p.zh}。",
    )


def exists(d: Draw) -> Triple:
    n = d.even(("many", "several", "some", d.number(2, 12)))
    x = d.np("phenomenon", det=n, plural=True)
    y = d.np("text", det=d.even(("the", "this", "our")))
    return (
        f"there are {x.en} in {y.en}.",
        f"{contracted('in ' + y.dat)} gibt es {x.acc}.",
        f"{y.zh}中有{x.zh}。",
    )


def languages(d: Draw) -> Triple:
    a, b, c = d.phrases("languages", 3)
    x = d.np("system", det=d.even(("the", "our", "this", "these")))
    support, unterstützen = ("support", "unterstützen") if x.plural else ("supports", "unterstützt")
    return (
        f"{x.en} {support} {a.en}, {b.en}, and {c.en}.",
        f"{x.nom} {unterstützen} {a.de}, {b.de} und {c.de}.",
        f"{x.zh}支持{a.zh}、{b.zh}和{c.zh}。",
    )


def language_pair(d: Draw) -> Triple:
    a, b = d.phrases("languages", 2)
    s, o = _agent(d), d.np("text", adj=40)
    return (
        f"{s.en} translated {o.en} from {a.en} into {b.en}.",
        f"{s.de} {HABEN[s.person]} {o.acc} "
        f"aus dem {_nominal(a.de, 'en')} ins {_nominal(b.de, 'e')} übersetzt.",
        f"{s.zh}把{o.zh}从{a.zh}翻译成了{b.zh}。",
    )


def _nominal(language: str, ending: str) -> str:
    """The name of a language after an article. Deutsch and names on -isch take an ending."""
    return language + ending if language.endswith(("isch", "Deutsch")) else language


def opener(d: Draw) -> Triple:
    o, c = d.phrase("openers"), _people(d)
    return f"{o.en} {c.en}.", f"{o.de} {c.de_inverted}.", f"{o.zh}，{c.zh}。"


def so(d: Draw) -> Triple:
    c = _any(d)
    return f"so {c.en}.", f"also {c.de_inverted}.", f"所以{c.zh}。"


def as_you_see(d: Draw) -> Triple:
    x, n, c = d.even(_numbered(d)), d.number(1, 15), _machine(d)
    on, auf = ("on", "auf") if x.en == "slide" else ("in", "in")
    return (
        f"as you can see {on} {x.en} {spoken(n)}, {c.en}.",
        f"wie Sie {auf} {x.de_sg[0]} {n} sehen können, {c.de_inverted}.",
        f"正如您在{x.zh}{n}中看到的，{c.zh}。",
    )


def _numbered(d: Draw) -> list:
    numbered = ("slide", "figure", "table", "chapter", "diagram")
    return [n for n in d.lexicon.nouns["exhibit"] if n.en in numbered]


def exhibit_shows(d: Draw) -> Triple:
    x = d.np("exhibit", det=d.even(("the", "this", "our")), plural=False)
    q = d.np("quality", det="the")
    y = d.np("system", "method", det=d.even(("the", "our", "these")))
    return (
        f"{x.en} shows {q.en} of {y.en}.",
        f"{x.nom} zeigt {q.acc} {y.gen}.",
        f"{x.zh}展示了{y.zh}的{q.noun.zh}。",
    )


def numbered_compares(d: Draw) -> Triple:
    x, n = d.even(_numbered(d)), d.number(1, 15)
    a, b = d.pair(THINGS, {"det": "the"}, {"det": "our"})
    return (
        f"{x.en} {spoken(n)} compares {a.en} with {b.en}.",
        f"{x.de_sg[0]} {n} vergleicht {a.acc} mit {b.dat}.",
        f"{x.zh}{n}比较了{a.zh}与{b.zh}。",
    )


def instrument(d: Draw) -> Triple:
    v, s = d.verb("agent", tool=True), _agent(d)
    kind = d.even(("process", "process", "system", "part", "method"))
    o = d.obj(v, adj=30)
    i = d.np(kind, adj=30, det="" if kind == "process" else d.even((None, "a", "")))
    if d.chance(75):
        return (
            f"{s.en} {v.past} {o.en} with {i.en}.",
            f"{s.de} {HABEN[s.person]} {o.acc} mit {i.dat} {v.part}.",
            f"{s.zh}用{i.zh}{v.zh}了{o.zh}。",
        )
    return (
        f"{s.en} {v.past} {o.en} without {i.en}.",
        f"{s.de} {HABEN[s.person]} {o.acc} ohne {i.acc} {v.part}.",
        f"{s.zh}在没有{i.zh}的情况下{v.zh}了{o.zh}。",
    )


def source(d: Draw) -> Triple:
    r, o, s = d.phrase("resources"), d.np("text", plural=True), _agent(d)
    return (
        f"{s.en} took {o.en} from {r.en}.",
        f"{s.de} {HABEN[s.person]} {o.acc} aus {r.de} übernommen.",
        f"{s.zh}从{r.zh}中选取了{o.zh}。",
    )


def wish(d: Draw) -> Triple:
    v = d.verb("agent")
    o = d.obj(v)
    return (
        f"in the future, we want to {v.en} {o.en}.",
        f"in Zukunft wollen wir {o.acc} {v.infinitive}.",
        f"未来，我们想{v.zh}{o.zh}。",
    )


def goal(d: Draw) -> Triple:
    v = d.verb("agent")
    x = d.np("exhibit", "method", det=d.even(("the", "this", "our")), plural=False)
    o = d.obj(v)
    return (
        f"the goal of {x.en} is to {v.en} {o.en}.",
        f"das Ziel {x.gen} ist, {o.acc} {v.zu}.",
        f"{x.zh}的目标是{v.zh}{o.zh}。",
    )


def task(d: Draw) -> Triple:
    t, lang = d.np("task", det=""), d.phrase("languages")
    x = d.np("system", "method", adj=20, det=d.even(("the", "this", "our", "these")))
    be, ist = x.be
    a = d.one([a for a in _predicates(d, x) if a.kind == "technical"])
    return (
        f"for {t.en} in {lang.en}, {x.en} {be} {a.en}.",
        f"für {t.acc} auf {lang.de} {ist} {x.nom} {a.de}.",
        f"对于{lang.zh}{t.zh}，{x.zh}很{a.zh}。",
    )


def not_only(d: Draw) -> Triple:
    v = d.verb("machine")
    s = _actor(d, v)
    o, p = d.pair(v.objects, {"adj": 20}, {"adj": 20})
    verb = v.en_s if s.person == 1 else v.en
    finite = v.third if s.person == 1 else v.base
    end = f" {v.prefix}" if v.prefix else ""
    return (
        f"{s.en} {verb} not only {o.en} but also {p.en}.",
        f"{s.de} {finite} nicht nur {o.acc}, sondern auch {p.acc}{end}.",
        f"{s.zh}不仅{v.zh}{o.zh}，还{v.zh}{p.zh}。",
    )


def before(d: Draw) -> Triple:
    a, b = _people(d), _people(d)
    return (
        f"before {a.en}, {b.en}.",
        f"bevor {a.de_final}, {b.de_inverted}.",
        f"在{a.subject.zh}{a.verb.zh}{a.obj.zh}之前，{b.zh}。",
    )


def let_us(d: Draw) -> Triple:
    x, t = d.np("exhibit", *THINGS, det=d.even(("the", "this", "our"))), d.even(("now", "next"))
    if t == "now":
        return (
            f"now let us look at {x.en}.",
            f"sehen wir uns jetzt {x.acc} an.",
            f"现在让我们看看{x.zh}。",
        )
    return (
        f"next I will talk about {x.en}.",
        f"als Nächstes spreche ich über {x.acc}.",
        f"接下来我将谈谈{x.zh}。",
    )


def greeting(d: Draw) -> Triple:
    n, c = d.phrase("names"), d.phrase("cities")
    v = d.verb("agent")
    if d.chance(50):
        x = d.np("method", "system", det="the")
        return (
            f"hello, I am {n.en} from {c.en}, and I present {x.en}.",
            f"hallo, ich bin {n.de} aus {c.de} und stelle {x.acc} vor.",
            f"大家好，我是来自{c.zh}的{n.zh}，我来介绍{x.zh}。",
        )
    o = d.obj(v)
    return (
        f"welcome, my name is {n.en}, and we will {v.en} {o.en}.",
        f"willkommen, mein Name ist {n.de}, und wir werden {o.acc} {v.infinitive}.",
        f"欢迎大家，我叫{n.zh}，我们将{v.zh}{o.zh}。",
    )


def thanks(d: Draw) -> Triple:
    n, m, c = *d.phrases("names", 2), d.phrase("cities")
    return d.even(
        (
            (
                f"thank you for listening, and many thanks to {n.en} and {m.en}.",
                f"danke fürs Zuhören und vielen Dank an {n.de} und {m.de}.",
                f"感谢大家的聆听，也非常感谢{n.zh}和{m.zh}。",
            ),
            (
                f"thank you very much, and see you in {c.en} with {n.en}.",
                f"vielen Dank und bis bald in {c.de} mit {n.de}.",
                f"非常感谢，我们和{n.zh}在{c.zh}见。",
            ),
            (
                f"thanks to {n.en}, {m.en}, and everyone in {c.en}.",
                f"danke an {n.de}, {m.de} und alle in {c.de}.",
                f"感谢{n.zh}、{m.zh}以及{c.zh}的所有人。",
            ),
        )
    )


# pattern, weight
PATTERNS = (
    (past, 8), (habit, 5), (modal, 5), (negation, 5), (passive, 5), (passive_manner, 3),
    (question, 4), (question_can, 2), (question_how, 3), (question_why, 2), (question_which, 2),
    (because, 4), (although, 3), (when, 3), (condition, 4), (reported, 5), (relative, 3),
    (relative_object, 4), (purpose, 4), (without, 3), (comparison, 4), (equal, 2), (percent, 4),
    (share, 3), (contains, 4), (in_year, 4), (both_objects, 4), (both_verbs, 4), (exists, 3),
    (languages, 3), (language_pair, 3), (opener, 5), (so, 2), (as_you_see, 4), (exhibit_shows, 3),
    (numbered_compares, 3), (instrument, 5), (source, 2), (wish, 3), (goal, 3), (task, 3),
    (not_only, 3), (before, 3), (let_us, 2), (greeting, 1), (thanks, 1),
)  # fmt: skip
