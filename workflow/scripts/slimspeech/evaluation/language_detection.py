"""In which language a translation is, told offline by py3langid, whose model is in its package."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from slimspeech.languages import NAMES

# Share of the probability from which a finding counts. Short texts seldom get there: "Ja." is as
# good as any language. On the references and sources of the mini corpus (1,558 German, Chinese and
# English sentences) the most likely language was the right one, and above this for 97 % and more.
SURE = 0.9


class Detector:
    """Chooses among the languages that the project knows by name, and those of the pair."""

    def __init__(self, pair: Sequence[str]):
        self._model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        known = set(self._model.labels)
        self.languages = sorted(known & {*NAMES, *pair})
        self._model.set_languages(self.languages)

    def check(self, texts: Sequence[tuple[str, str]], expected: str) -> dict[str, Any]:
        """Which of the (id, text) are in another language than expected.

        checked: texts whose language it was sure of; 0 for a language it does not know.
        """
        found = []
        if expected in self.languages:
            found = [(key, *self._model.classify(text)) for key, text in texts]
        sure = [(key, language) for key, language, share in found if share >= SURE]
        return {
            "expected": expected,
            "detector": f"py3langid {version('py3langid')}" if found else None,
            "checked": len(sure),
            "other": [
                {"id": key, "found": language} for key, language in sure if language != expected
            ],
        }
