"""Models that translate without weights, to serve in tests."""

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from slimspeech.web.models import ServedModel


@dataclass(frozen=True)
class Said:
    start: float
    end: float
    text: str


@dataclass
class FakeModels:
    """Translates a file into two segments that tell its length in samples and the model.

    Waits before the second segment until `go` is set; raises `errors` of a model in its place.
    """

    errors: dict[str, Exception] = field(default_factory=dict)
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str]] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)

    def is_loaded(self, model: str) -> bool:
        return model in self.loaded

    def load(self, model: str) -> "FakeModel":
        self.loaded.add(model)
        return FakeModel(self, model)


@dataclass
class FakeModel:
    models: FakeModels
    id: str

    def translate(self, path: Path, name: str) -> Iterator[Said]:
        self.models.asked.append((self.id, name))
        samples, rate = soundfile.read(path)
        half = len(samples) / rate / 2
        yield Said(0.0, half, f"{self.id} heard {len(samples)}")
        assert self.models.go.wait(10)
        if self.id in self.models.errors:
            raise self.models.errors[self.id]
        yield Said(half, 2 * half, f"and {name}")


def served(*identities: str) -> list[ServedModel]:
    """Models by their ids, such as "en-de-A"."""
    titles = {"de": "English to German", "zh": "English to Chinese"}
    found = []
    for identity in identities:
        source, target, name = identity.split("-")
        found.append(
            ServedModel(
                directory=Path("/secret") / identity,
                id=identity,
                name=name,
                title=titles[target],
                source=source,
                target=target,
                words=target == "de",
                layers=4,
                weights=1000,
                bytes=2000,
                quantization="none",
            )
        )
    return found


def wav_bytes(samples: int) -> bytes:
    """Silence at 16 kHz."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(samples), 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()
