"""Count repetitions in a text: a model that has lost the audio repeats itself."""

import re

from slimspeech.languages import WRITTEN_WITHOUT_SPACES

LONGEST_REPEATED = 4  # tokens


def most_copies(text: str, language: str) -> int:
    """The most times that one to four tokens stand in a row: 3 for "so it so it so it".

    Tokens are words; in languages written without spaces they are characters, and words and
    numbers in Latin letters (10000 is no repetition).
    """
    if language in WRITTEN_WITHOUT_SPACES:
        tokens = re.findall(r"[A-Za-z0-9]+|\S", text)
    else:
        tokens = text.split()
    most = 1
    for length in range(1, LONGEST_REPEATED + 1):
        equal = 0  # consecutive tokens that equal the one `length` places before
        for earlier, later in zip(tokens, tokens[length:], strict=False):
            equal = equal + 1 if earlier == later else 0
            most = max(most, equal // length + 1)
    return most
