"""The text of the mini corpus: reproducible, unambiguous, of fitting length, in correct German."""

import hashlib
import os
import re
import subprocess
import sys
from functools import cache
from itertools import islice

import pytest

from slimspeech.errors import InputError
from slimspeech_mini import german, grammar, lexicon
from slimspeech_mini.phrases import WE, Clause, NounPhrase, Subject, spoken, year

PROGRAM = """
import hashlib
from itertools import islice
from slimspeech_mini import grammar
print(hashlib.sha256(repr(list(islice(grammar.sentences("talk", 3), 200))).encode()).hexdigest())
"""


@cache
def drawn(domain: str, count: int = 10_000, terms: bool = True) -> list[grammar.Sentence]:
    return list(islice(grammar.sentences(domain, 7, terms=terms), count))


def words(sentences) -> set[str]:
    return {w.strip(".,?").lower() for s in sentences for w in s.source.split()}


def np(
    domain: str, en: str, det: str | int = "the", plural: bool = False, adj: str = ""
) -> NounPhrase:
    lex = lexicon.load(domain)
    noun = next(n for rows in lex.nouns.values() for n in rows if n.en == en)
    adjectives = [a for rows in lex.adjectives.values() for a in rows if a.en == adj]
    return NounPhrase(noun, det, plural, adjectives[0] if adj else None)


def verb(domain: str, en: str) -> lexicon.Verb:
    return next(v for rows in lexicon.load(domain).verbs.values() for v in rows if v.en == en)


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_same_sentences_whatever_the_hash_seed(hash_seed):
    here = hashlib.sha256(
        repr(list(islice(grammar.sentences("talk", 3), 200))).encode()
    ).hexdigest()
    env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = [sys.executable, "-c", PROGRAM]
    assert (
        subprocess.run(run, env=env, capture_output=True, text=True, check=True).stdout.strip()
        == here
    )


def test_another_seed_gives_other_sentences():
    assert drawn("talk")[:20] != list(islice(grammar.sentences("talk", 8), 20))


@pytest.mark.parametrize("domain", ["talk", "everyday"])
def test_no_source_twice_and_lengths(domain):
    sources = [s.source for s in drawn(domain)]
    assert len(set(sources)) == len(sources)
    lengths = [len(s.split()) for s in sources]
    assert min(lengths) >= 5 and max(lengths) <= 16
    assert max(map(len, sources)) <= 95
    assert 8 <= sum(lengths) / len(lengths) <= 10


def test_translation_is_a_function_of_the_source():
    targets = {}
    for domain in ("talk", "everyday"):
        for seed in range(2):
            for s in islice(grammar.sentences(domain, 100 + seed), 5_000):
                assert targets.setdefault(s.source, s.targets) == s.targets


@pytest.mark.parametrize("domain", ["talk", "everyday"])
def test_surface_form(domain):
    for s in drawn(domain):
        assert re.fullmatch(r"[A-Z][A-Za-z ,'-]*[.?]", s.source), s
        assert re.fullmatch(r"[A-ZÄÖÜ0-9][A-Za-zÄÖÜäöüß0-9 ,-]*[.?]", s.targets["de"]), s
        assert re.fullmatch(r"[\u4e00-\u9fff0-9A-Za-z%，、]+[。？]", s.targets["zh"]), s
        assert "  " not in s.source + s.targets["de"]


def test_vocabulary():
    corpus, everything = words(drawn("talk")[:884]), words(drawn("talk"))
    print(len(corpus), "types in 884 talk sentences,", len(everything), "in 10000")
    assert len(corpus) >= 600 and len(everything) >= 700
    assert len(words(drawn("everyday")) - everything) >= 250
    assert len({s.pattern for s in drawn("talk")}) >= 25
    assert len({s.pattern for s in drawn("everyday")}) >= 12


def test_terminology_changes_targets_and_no_source():
    usual = list(islice(grammar.sentences("talk", 7), 2000))
    archive = list(islice(grammar.sentences("talk", 7, terminology=True), 2000))
    assert [s.source for s in usual] == [s.source for s in archive]
    for language in ("de", "zh"):
        changed = [
            a.targets[language] != b.targets[language] for a, b in zip(usual, archive, strict=True)
        ]
        assert 0.6 < sum(changed) / 2000 < 0.9


@pytest.mark.parametrize(
    "source, german_target, chinese_target",
    [
        (
            "The lecture was compressed by a laboratory.",
            "Der Vortrag wurde von einem Labor komprimiert.",
            "演讲是由一个实验室压缩的。",
        ),
        (
            "We added the example that the student removed.",
            "Wir haben das Beispiel ergänzt, das der Student gelöscht hat.",
            "我们加入了学生去除的例子。",
        ),
    ],
)
def test_terminology_keeps_gender_forms_and_measure_words(source, german_target, chinese_target):
    """Read by hand: another gender, other participles, nothing left of the old word."""
    targets = {
        s.source: s.targets for s in islice(grammar.sentences("talk", 3, terminology=True), 300)
    }
    assert targets[source] == {"de": german_target, "zh": chinese_target}


def test_terminology_belongs_to_talks_alone():
    with pytest.raises(InputError, match="terminology.yaml: .* is not among the nouns"):
        lexicon.load("everyday", terminology=True)


def test_terms_false_reaches_no_term():
    plain = words(drawn("talk", terms=False))
    assert 150 <= len(words(drawn("talk")) - plain) <= 220
    assert not plain & {
        "tokenizer",
        "encoder",
        "corpus",
        "corpora",
        "basque",
        "swahili",
        "annotated",
        "neural",
    }


def test_talk_is_greeting_body_thanks():
    plain = grammar.talk(5, 30, set())
    assert (plain[0].pattern, plain[-1].pattern, len(plain)) == ("greeting", "thanks", 30)
    forbidden = {s.source for s in plain}
    assert not forbidden & {s.source for s in grammar.talk(5, 30, forbidden)}


@pytest.mark.parametrize(
    ("phrase", "case", "expected"),
    [
        (np("talk", "model", "a", adj="new"), "nom", "ein neues Modell"),
        (np("talk", "tokenizer", "a", adj="fast"), "acc", "einen schnellen Tokenizer"),
        (np("talk", "tokenizer", "the", adj="fast"), "nom", "der schnelle Tokenizer"),
        (np("talk", "student", "the"), "acc", "den Studenten"),
        (np("talk", "student", "the"), "gen", "des Studenten"),
        (np("talk", "name", "the"), "gen", "des Namens"),
        (np("talk", "sentence", "this", adj="long"), "gen", "dieses langen Satzes"),
        (np("talk", "sentence", "our", True, "short"), "dat", "unseren kurzen Sätzen"),
        (np("talk", "word", "", True, "rare"), "nom", "seltene Wörter"),
        (np("talk", "word", "", True, "rare"), "dat", "seltenen Wörtern"),
        (np("talk", "word", "many", True, "rare"), "dat", "vielen seltenen Wörtern"),
        (np("talk", "tool", 3, True, "flexible"), "acc", "drei flexible Werkzeuge"),
        (np("talk", "tool", "all", True, "flexible"), "acc", "alle flexiblen Werkzeuge"),
        (np("talk", "corpus", "the", True), "dat", "den Korpora"),
        (np("talk", "method", "our", adj="simple"), "dat", "unserer einfachen Methode"),
        (np("everyday", "soup", "", False, "hot"), "dat", "heißer Suppe"),
        (np("everyday", "honey", "", False, "sweet"), "dat", "süßem Honig"),
        (np("everyday", "friend", "my", True, "tired"), "nom", "meine müden Freunde"),
        (np("everyday", "lamp", "a", adj="expensive"), "acc", "eine teure Lampe"),
        (np("everyday", "child", "your"), "nom", "Ihr Kind"),
    ],
)
def test_german_noun_phrases(phrase, case, expected):
    assert phrase.de(case) == expected


@pytest.mark.parametrize(
    ("domain", "en", "third", "participle", "zu"),
    [
        ("talk", "train", "trainiert", "trainiert", "zu trainieren"),
        ("talk", "test", "testet", "getestet", "zu testen"),
        ("talk", "choose", "wählt", "ausgewählt", "auszuwählen"),
        ("talk", "collect", "sammelt", "gesammelt", "zu sammeln"),
        ("talk", "organize", "ordnet", "geordnet", "zu ordnen"),
        ("talk", "explain", "erklärt", "erklärt", "zu erklären"),
        ("talk", "learn", "lernt", "gelernt", "zu lernen"),
        ("talk", "translate", "übersetzt", "übersetzt", "zu übersetzen"),
        ("talk", "predict", "sagt", "vorhergesagt", "vorherzusagen"),
        ("everyday", "eat", "isst", "gegessen", "zu essen"),
        ("everyday", "invite", "lädt", "eingeladen", "einzuladen"),
    ],
)
def test_german_verbs(domain, en, third, participle, zu):
    v = verb(domain, en)
    assert (v.third, v.part, v.zu) == (third, participle, zu)


def test_clause_orders():
    parser, words_ = np("talk", "parser"), np("talk", "word", "", True)
    c = Clause(Subject.of(parser), verb("talk", "predict"), words_, "present")
    assert c.de == "der Parser sagt Wörter vorher"
    assert c.de_final == "der Parser Wörter vorhersagt"
    assert c.de_inverted == "sagt der Parser Wörter vorher"
    c = Clause(WE, verb("talk", "choose"), parser, "past", negated=True)
    assert c.en == "we did not choose the parser"
    assert c.de == "wir haben den Parser nicht ausgewählt"
    assert c.de_final == "wir den Parser nicht ausgewählt haben"
    assert c.zh == "我们没有选择句法分析器"


def test_contractions_and_chinese_phrases():
    assert german.contracted("in dem Text") == "im Text"
    assert german.contracted("von der Folie") == "von der Folie"
    assert np("talk", "model", "a", adj="new").zh == "一个新模型"
    assert np("talk", "model", "our", adj="reliable").zh == "我们可靠的模型"
    assert np("talk", "article", 2, True).zh == "两篇文章"
    assert np("talk", "encoder", "a").en == "an encoder"
    assert np("talk", "user", "a").en == "a user"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (7, "seven"),
        (23, "twenty three"),
        (90, "ninety"),
        (140, "one hundred forty"),
        (2300, "two thousand three hundred"),
    ],
)
def test_spoken_numbers(number, text):
    assert spoken(number) == text


def test_spoken_year():
    assert year(2019) == "twenty nineteen"
