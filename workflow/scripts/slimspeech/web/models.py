"""What is known of the models that are served before any is loaded."""

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
    """A model directory, and what the page shows of it.

    id: what requests call it, of letters, digits, "-", "_" and ".". words: whether its target
    language has spaces between words. weights: true ones; bytes: of the weight files.
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

    def shown(self) -> dict[str, Any]:
        """All but where it lies, which is no client's business."""
        return {key: value for key, value in asdict(self).items() if key != "directory"}


def describe(
    directories: Sequence[str | Path], target: str | None = None, source: str | None = None
) -> list[ServedModel]:
    """One a directory, in their order; nothing is loaded.

    target, source: the languages of models that nothing tells theirs, as codes or English names.
    Models of one name and pair go by their directories. Raises InputError for a directory without
    a model, and for one given twice.
    """
    deployments = [read_deployment(directory) for directory in directories]
    for path, count in Counter(found.directory.resolve() for found in deployments).items():
        if count > 1:
            raise InputError(f"{path}: given {count} times; give each model once")
    pairs = [found.pair or found.pair_for(target, source) for found in deployments]
    named = Counter(zip((found.name for found in deployments), pairs, strict=True))
    models: list[ServedModel] = []
    for found, pair in zip(deployments, pairs, strict=True):
        name = found.name if named[found.name, pair] == 1 else str(found.directory)
        identity = _identity(f"{pair}-{name}", {model.id for model in models})
        models.append(_describe(found, pair, name, identity))
    return models


def _describe(found: Deployment, pair: str, name: str, identity: str) -> ServedModel:
    names = found.prompt.languages
    source, target = pair.split("-", 1)
    size = measure_size(found.directory)
    return ServedModel(
        directory=found.directory,
        id=identity,
        name=name,
        title=f"{languages.name(source, names)} to {languages.name(target, names)}",
        source=source,
        target=target,
        words=target not in languages.WRITTEN_WITHOUT_SPACES,
        layers=size["decoder_layers"],
        weights=size["weights"],
        bytes=size["bytes"],
        quantization=size["quantization"],
    )


def _identity(text: str, taken: set[str]) -> str:
    """The text as an id that no other model has."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
    numbered = [plain, *(f"{plain}-{number}" for number in range(2, len(taken) + 3))]
    return next(identity for identity in numbered if identity not in taken)
