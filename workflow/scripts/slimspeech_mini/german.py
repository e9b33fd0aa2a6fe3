"""The German morphology that the mini corpus needs.

Genders are "m", "f", "n"; a plural noun phrase has the gender "p".
Cases are "nom", "acc", "dat", "gen".
"""

CASES = ("nom", "acc", "dat", "gen")
GENDERS = ("m", "f", "n", "p")

_DER = {
    "nom": ("der", "die", "das", "die"),
    "acc": ("den", "die", "das", "die"),
    "dat": ("dem", "der", "dem", "den"),
    "gen": ("des", "der", "des", "der"),
}
# Endings of dieser, and of an adjective with no determiner before it (strong).
_DIES = {
    "nom": ("er", "e", "es", "e"),
    "acc": ("en", "e", "es", "e"),
    "dat": ("em", "er", "em", "en"),
    "gen": ("es", "er", "es", "er"),
}
_STRONG = {**_DIES, "gen": ("en", "er", "en", "er")}
_EIN = {**_DIES, "nom": ("", "e", "", "e"), "acc": ("en", "e", "", "e")}
_EIN_WORDS = ("ein", "kein", "unser", "mein", "ihr", "Ihr")
_WEAK = {
    "nom": ("e", "e", "e", "en"),
    "acc": ("en", "e", "e", "en"),
    "dat": ("en", "en", "en", "en"),
    "gen": ("en", "en", "en", "en"),
}
_MIXED = {**_WEAK, "nom": ("er", "e", "es", "en"), "acc": ("en", "e", "es", "en")}

_CONTRACTED = {
    "in dem": "im",
    "an dem": "am",
    "von dem": "vom",
    "bei dem": "beim",
    "zu dem": "zum",
    "zu der": "zur",
    "in das": "ins",
}
_INSEPARABLE = ("be", "emp", "ent", "er", "ge", "miss", "ver", "zer", "über", "unter", "wider")
_VOWELS = "aeiouäöüy"

# Numbers up to twelve are written as words.
_NUMBERS = (
    *("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"),
    *("elf", "zwölf"),
)

# Verb forms of the auxiliaries: first person singular, third person singular, any plural.
HABEN = ("habe", "hat", "haben")
SEIN = ("bin", "ist", "sind")
MODALS = {
    "können": ("kann", "kann", "können"),
    "müssen": ("muss", "muss", "müssen"),
    "sollten": ("sollte", "sollte", "sollten"),
    "wollen": ("will", "will", "wollen"),
}


def number(value: int) -> str:
    return _NUMBERS[value] if value < len(_NUMBERS) else str(value)


def determiner(kind: str, case: str, gender: str) -> str:
    """The inflected determiner: "der", an ein-word ("ein", "unser"), or a stem such as "dies"."""
    column = GENDERS.index(gender)
    if kind == "der":
        return _DER[case][column]
    return kind + (_EIN if kind in _EIN_WORDS else _DIES)[case][column]


def adjective(stem: str, kind: str, case: str, gender: str) -> str:
    """The adjective with the ending that follows the determiner `kind` ("": strong)."""
    if kind in ("der", "dies", "jed", "welch", "all", "beid"):
        table = _WEAK
    elif kind in _EIN_WORDS:
        table = _MIXED
    else:
        table = _STRONG
    return stem.removesuffix("e") + table[case][GENDERS.index(gender)]


def genitive(noun: str, gender: str) -> str:
    """The regular genitive singular."""
    if gender == "f":
        return noun
    return noun + ("es" if noun.endswith(("s", "ß", "x", "z", "tz")) else "s")


def dative_plural(plural: str) -> str:
    """The regular dative plural: the plural and -n, unless it ends in -n or -s."""
    return plural if plural.endswith(("n", "s")) else plural + "n"


def contracted(text: str) -> str:
    """`text` with its preposition and article contracted where German does so (in dem -> im)."""
    head = " ".join(text.split(" ")[:2])
    return _CONTRACTED[head] + text[len(head) :] if head in _CONTRACTED else text


def third_person(infinitive: str) -> str:
    """The regular third person singular, present."""
    stem = infinitive[:-2] if infinitive.endswith("en") else infinitive[:-1]
    after_nasal = len(stem) > 2 and stem[-1] in "nm" and stem[-2] not in _VOWELS + "rlhmn"
    return stem + ("et" if stem[-1] in "td" or after_nasal else "t")


def participle(infinitive: str, prefix: str = "") -> str:
    """The regular past participle of prefix + infinitive."""
    form = third_person(infinitive)
    if infinitive.endswith("ieren") or infinitive.startswith(_INSEPARABLE):
        return prefix + form
    return f"{prefix}ge{form}"
