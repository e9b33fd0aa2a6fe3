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
            f"config: no English name for the language {code!r}; add `languages: {{{code}: …}}` "
            f"(known: {', '.join(sorted(names))})"
        )
    return names[code]
