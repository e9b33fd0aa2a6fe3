"""How a model directory is used: its language pair, its prompt and its limit of new tokens.

A release has them in slimspeech.json. For another directory in a results folder they come from the
experiment. For any other directory the prompt is the paper's, and the user gives the languages.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from slimspeech import families, languages
from slimspeech.artifacts import read_json
from slimspeech.errors import InputError
from slimspeech.models.prompts import Prompt
from slimspeech.release import results_tree
from slimspeech.release.metadata import FACTS, FORMAT

# The paper's prompt (section 3), as in config/.
DEFAULT_PROMPT = {
    "system": "You are a professional translator.",
    "user": "Translate the {source} speech into {target}:",
}
DEFAULT_SOURCE = "en"
DEFAULT_MAX_NEW_TOKENS = 256


@dataclass(frozen=True)
class Deployment:
    """A model directory and how it is used.

    pair: None if not known. facts: content of slimspeech.json, or those of its keys that a results
    folder gives, or nothing.
    """

    directory: Path
    pair: str | None
    prompt: Prompt
    max_new_tokens: int
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """A short name, such as "A", "teacher" or the directory's name."""
        return self.facts.get("system") or self.directory.name

    def pair_for(self, target: str | None = None, source: str | None = None) -> str:
        """The pair to translate. source, target: the languages that the user asks for, each as a
        code or an English name.

        Raises InputError if the model was made for another pair, or the target is not known.
        """
        codes = [
            language and languages.code(language, self.prompt.languages)
            for language in (source, target)
        ]
        if self.pair:
            pair = self.pair
            for code, own_code in zip(codes, pair.split("-", 1), strict=True):
                if code not in (None, own_code):
                    raise InputError(
                        f"{self.directory}: made for {pair}, not for {code}; give a model for it"
                    )
        elif codes[1]:
            pair = f"{codes[0] or DEFAULT_SOURCE}-{codes[1]}"
        else:
            raise InputError(
                f"{self.directory}: the model does not say into which language it translates; "
                "give --to, such as --to de"
            )
        self.prompt.request(pair)  # raises InputError for a language without a name
        return pair


def read_deployment(directory: str | Path) -> Deployment:
    """How to use a release, another model directory, or a student's folder that holds either.

    Raises InputError if there is no model, or if slimspeech.json has another format.
    """
    path = find_model(directory)
    facts = _read_facts(path)
    if facts is None:
        place = results_tree.locate(path)
        facts = {} if place is None else results_tree.facts(place)
        if problem := facts and _problem(facts):
            raise InputError(
                f"{place.experiment / 'config.json'}: {problem}; move the model to another folder"
            )
    generation = facts.get("generation") or {}
    prompt = facts.get("prompt") or _default_prompt(path)
    return Deployment(
        directory=path,
        pair=facts.get("pair"),
        prompt=Prompt.of(prompt, facts.get("languages") or {}),
        max_new_tokens=generation.get("max_new_tokens", DEFAULT_MAX_NEW_TOKENS),
        facts=facts,
    )


def _default_prompt(directory: Path) -> dict[str, Any]:
    """The paper's, without what the model's family cannot say."""
    model_type = read_json(directory / "config.json").get("model_type")
    family = families.FAMILIES.get(model_type)  # the check of the directory refuses another
    return (
        DEFAULT_PROMPT if not family or family.takes_system else DEFAULT_PROMPT | {"system": None}
    )


def find_model(directory: str | Path) -> Path:
    """The directory with the weights: `directory`, or `release` or `packed` in a student's folder.

    Raises InputError if there is no model.
    """
    directory = Path(directory)
    for path in (directory, directory / "release", directory / "packed"):
        if os.path.isfile(path / "config.json") and any(path.glob("*.safetensors")):
            return path
    if not os.path.exists(directory):
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
    version = facts.get("format") if isinstance(facts, dict) else None
    if version != FORMAT:
        raise InputError(
            f"{file}: its format is {version}, and this version reads {FORMAT}; update slimspeech, "
            "or make the release again"
        )
    if problem := _problem(facts):
        raise InputError(f"{file}: {problem}; make the release again")
    return facts


def _problem(facts: Mapping[str, Any]) -> str | None:
    """What translating needs and these facts do not have, or have otherwise."""
    pair, prompt = facts.get("pair"), facts.get("prompt")
    names, generation = facts.get("languages") or {}, facts.get("generation") or {}
    if not isinstance(pair, str) or not all(pair.partition("-")):
        return f"its pair is {pair!r} and not such as en-de"
    known = {part.name for part in fields(Prompt)} - {"languages"}
    if not isinstance(prompt, dict) or not {"system", "user"} <= prompt.keys() <= known:
        return f"its prompt is not whole, or has other keys than {', '.join(sorted(known))}"
    texts = [text for key, text in prompt.items() if (key, text) != ("system", None)]
    if not all(isinstance(text, str) for text in texts):
        return "its prompt is not text"
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        return "its languages are not names by code"
    if not isinstance(generation, dict):
        return "its generation has no max_new_tokens"
    limit = generation.get("max_new_tokens", DEFAULT_MAX_NEW_TOKENS)
    if type(limit) is not int or limit < 1:
        return f"its max_new_tokens is {limit!r} and not a number of tokens"
    return None
