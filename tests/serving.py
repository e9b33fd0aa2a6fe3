"""Models without weights, which tests serve."""

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from slimspeech.longform.subtitles import Utterance
from slimspeech.web.models import ServedModel


@dataclass
class FakeModels:
    """Translates a file into two segments, with its length in samples and the model's id.

    Waits for `go` before the second segment; raises a model's error of `errors` in its place.
    requests: (model, file name).
    """

    errors: dict[str, Exception] = field(default_factory=dict)
    go: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str]] = field(default_factory=list)
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

    def translate(self, path: Path, name: str) -> Iterator[Utterance]:
        self.models.requests.append((self.id, name))
        samples, rate = soundfile.read(path)
        half = len(samples) / rate / 2
        yield Utterance(0.0, half, f"{self.id} length {len(samples)}")
        assert self.models.go.wait(10)
        if self.id in self.models.errors:
            raise self.models.errors[self.id]
        yield Utterance(half, 2 * half, f"and {name}")


def served(*identities: str) -> list[ServedModel]:
    """Models by their ids, such as "en-de-A"."""
    titles = {"de": "English to German", "zh": "English to Chinese"}
    models = []
    for identity in identities:
        source, target, name = identity.split("-")
        models.append(
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
    return models


def wav_bytes(samples: int) -> bytes:
    """Silence at 16 kHz."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(samples), 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()
