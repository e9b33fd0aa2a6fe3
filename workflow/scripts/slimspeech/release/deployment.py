"""What a model directory must be told to translate with: its pair, prompt and cap, and its story.

A release brings them in slimspeech.json. Of any other directory in a results folder the experiment
knows them; outside of one the paper's prompt is taken, and the user says the languages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimspeech import languages
from slimspeech.artifacts import read_json
from slimspeech.errors import InputError
from slimspeech.models.prompts import Prompt
from slimspeech.release import results_tree
from slimspeech.release.metadata import FACTS, FORMAT

# The paper's (section 3), as in config/.
DEFAULT_PROMPT = {
    "system": "You are a professional translator.",
    "user": "Translate the {source} speech into {target}:",
}
DEFAULT_SOURCE = "en"
DEFAULT_MAX_NEW_TOKENS = 256


@dataclass(frozen=True)
class Deployment:
    """A model directory and how it is used.

    pair: what it was made for, or None if nothing says. facts: slimspeech.json, or as much of it
    as the results folder tells, or nothing.
    """

    directory: Path
    pair: str | None
    prompt: Prompt
    max_new_tokens: int
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """As short as tells models apart: "A", "teacher", or the directory's name."""
        return self.facts.get("system") or self.directory.name

    def pair_for(self, target: str | None = None, source: str | None = None) -> str:
        """The pair to translate, from what the user wants; codes or English names.

        Raises InputError if the model was made for another, or if nothing says which.
        """
        names = self.prompt.languages
        wanted = [
            None if asked is None else languages.code(asked, names) for asked in (source, target)
        ]
        if self.pair is None:
            if wanted[1] is None:
                raise InputError(
                    f"{self.directory}: nothing there says into which language it translates; "
                    "give --to, such as --to de"
                )
            pair = f"{wanted[0] or DEFAULT_SOURCE}-{wanted[1]}"
        else:
            pair = self.pair
            for asked, made_for in zip(wanted, pair.split("-", 1), strict=True):
                if asked not in (None, made_for):
                    raise InputError(
                        f"{self.directory}: made for {pair}, not for {asked}; give a model that "
                        "was made for it"
                    )
        self.prompt.request(pair)  # raises InputError for a language without a name
        return pair


def read_deployment(directory: str | Path) -> Deployment:
    """Of a release, of another model directory, or of a student's folder, which holds either.

    Raises InputError if there is no model, or if slimspeech.json cannot be understood.
    """
    path = find_model(directory)
    facts = _read_facts(path)
    if facts is None:
        place = results_tree.locate(path)
        facts = {} if place is None else results_tree.facts(place)
    generation = facts.get("generation") or {}
    return Deployment(
        directory=path,
        pair=facts.get("pair"),
        prompt=Prompt.of(facts.get("prompt") or DEFAULT_PROMPT, facts.get("languages") or {}),
        max_new_tokens=generation.get("max_new_tokens", DEFAULT_MAX_NEW_TOKENS),
        facts=facts,
    )


def find_model(directory: str | Path) -> Path:
    """The directory with the weights: itself, or `release` or `packed` in a student's folder.

    Raises InputError if there are none.
    """
    directory = Path(directory)
    for path in (directory, directory / "release", directory / "packed"):
        if (path / "config.json").is_file() and any(path.glob("*.safetensors")):
            return path
    if not directory.exists():
        raise InputError(f"{directory}: no such directory; give that of a model")
    raise InputError(
        f"{directory}: no model there (config.json and *.safetensors); give the directory of a "
        "student, such as results/…/students/A/packed, or of another model"
    )


def _read_facts(path: Path) -> dict[str, Any] | None:
    file = path / FACTS
    if not file.is_file():
        return None
    facts = read_json(file)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else None
        raise InputError(
            f"{file}: of format {found}, and this version reads {FORMAT}; update slimspeech, or "
            "make the release again"
        )
    missing = [key for key in ("pair", "prompt") if not facts.get(key)]
    if missing or not {"system", "user"} <= set(facts["prompt"]):
        raise InputError(
            f"{file}: without {' and '.join(missing) or 'a whole prompt'}; make the release again"
        )
    return facts
