"""What has to be known of a language: its English name, and whether words have spaces between."""

from slimspeech.errors import InputError

# The eleven of ACL 60/60 and some more. Others are named in config under `languages`.
NAMES = {
    "ar": "Arabic",
    "cs": "Czech",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pt": "Portuguese",
    "ru": "Russian",
    "tr": "Turkish",
    "zh": "Chinese",
}

WRITTEN_WITHOUT_SPACES = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my", "bo", "dz"})


def target_code(pair: str) -> str:
    """The code after the hyphen: "zh" for "en-zh"."""
    return pair.split("-", maxsplit=1)[1]


def name(code: str, more: dict[str, str] | None = None) -> str:
    """The English name of a language; `more` adds to NAMES or replaces some.

    Raises InputError for a language that neither knows.
    """
    names = NAMES | (more or {})
    if code not in names:
        raise InputError(
            f'no English name for the language {code!r}; add `languages: {{"{code}": …}}` to the '
            f"config (known: {', '.join(sorted(names))})"
        )
    return names[code]


def title(pair: str, more: dict[str, str] | None = None) -> str:
    """ "English to German" for "en-de"; a language without a name stands there by its code."""
    names = NAMES | (more or {})
    return " to ".join(names.get(code, code) for code in pair.split("-", maxsplit=1))


def code(text: str, more: dict[str, str] | None = None) -> str:
    """The code of a language given as one, or by its English name, in capitals or not.

    What is known as neither comes back as it is, in small letters.
    """
    names = {english.lower(): known for known, english in (NAMES | (more or {})).items()}
    return names.get(text.lower(), text.lower())
