"""Describes the served models without loading them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slimspeech import languages
from slimspeech.errors import InputError
from slimspeech.models.size import measure_size
from slimspeech.release.deployment import Deployment, read_deployment


@dataclass(frozen=True)
class ServedModel:
    """A model directory, and the values that the page shows.

    id: its name in requests, of letters, digits, "-", "_" and ".". words: whether its target
    language has spaces between words. weights: their number; bytes: size of the weight files.
    """

    directory: Path
    id: str
    name: str
    title: str
    source: str
    target: str
    words: bool
    layers: int
    weights: int
    bytes: int
    quantization: str

    def public(self) -> dict[str, Any]:
        """All but the directory, which clients must not see."""
        return {key: value for key, value in asdict(self).items() if key != "directory"}


def describe(
    directories: Sequence[str | Path], target: str | None = None, source: str | None = None
) -> list[ServedModel]:
    """One model per directory, in the same order.

    target, source: languages, as codes or English names, for models without language information.
    Models with the same name and pair get their directories as names. Raises InputError for a
    directory without a model, and for one given twice.
    """
    deployments = [read_deployment(directory) for directory in directories]
    for path, count in Counter(model.directory.resolve() for model in deployments).items():
        if count > 1:
            raise InputError(f"{path}: given {count} times; give each model once")
    pairs = [model.pair or model.pair_for(target, source) for model in deployments]
    counts = Counter(zip((model.name for model in deployments), pairs, strict=True))
    models: list[ServedModel] = []
    for deployment, pair in zip(deployments, pairs, strict=True):
        unique = counts[deployment.name, pair] == 1
        name = deployment.name if unique else str(deployment.directory)
        identity = _identity(f"{pair}-{name}", {model.id for model in models})
        models.append(_describe(deployment, pair, name, identity))
    return models


def _describe(deployment: Deployment, pair: str, name: str, identity: str) -> ServedModel:
    source, target = pair.split("-", 1)
    size = measure_size(deployment.directory)
    return ServedModel(
        directory=deployment.directory,
        id=identity,
        name=name,
        title=languages.title(pair, deployment.prompt.languages),
        source=source,
        target=target,
        words=target not in languages.WRITTEN_WITHOUT_SPACES,
        layers=size["decoder_layers"],
        weights=size["weights"],
        bytes=size["bytes"],
        quantization=size["quantization"],
    )


def _identity(text: str, taken: set[str]) -> str:
    """An id from the text that no other model has."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
    numbered = [plain, *(f"{plain}-{number}" for number in range(2, len(taken) + 3))]
    return next(identity for identity in numbered if identity not in taken)
