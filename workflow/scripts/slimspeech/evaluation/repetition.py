"""Text that runs in circles, as a model does that has lost the audio."""

import re

from slimspeech.languages import WRITTEN_WITHOUT_SPACES

LONGEST_REPEATED = 4  # tokens


def most_copies(text: str, language: str) -> int:
    """How often, at most, one to four tokens stand in a row: 3 for "so it so it so it".

    Tokens are words, or characters in languages written without spaces.
    """
    tokens = _tokens(text, language)
    most = 1
    for length in range(1, LONGEST_REPEATED + 1):
        alike = 0  # tokens in a row that equal the one `length` places before
        for earlier, later in zip(tokens, tokens[length:], strict=False):
            alike = alike + 1 if earlier == later else 0
            most = max(most, alike // length + 1)
    return most


def _tokens(text: str, language: str) -> list[str]:
    """Words, or characters where words have no spaces; a number like 10000 is no repetition."""
    if language in WRITTEN_WITHOUT_SPACES:
        return re.findall(r"[A-Za-z0-9]+|\S", text)
    return text.split()
