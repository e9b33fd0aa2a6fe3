"""Translates speech of any length by a running server in place of a loaded model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimspeech.engines.server import Server
from slimspeech.generation.translation import GenerationSettings
from slimspeech.longform.segmentation import Segment
from slimspeech.longform.subtitles import Utterance
from slimspeech.longform.translator import Translator
from slimspeech.models.loading import load_processor
from slimspeech.release.deployment import read_deployment


@dataclass(eq=False)
class ServedTranslator(Translator):
    """A translator without weights: the server has them. `model` is None."""

    server: Server

    @classmethod
    def ask(
        cls,
        directory: str | Path,
        server: Server,
        target: str | None = None,
        source: str | None = None,
    ) -> "ServedTranslator":
        """The student of a directory, from which prompt, languages and window are taken.

        Raises InputError as Translator.load.
        """
        deployment = read_deployment(directory)
        pair = deployment.pair_for(target, source)
        processor = load_processor(deployment.directory)
        settings = GenerationSettings("auto", deployment.max_new_tokens, "bf16")
        return cls(deployment, pair, None, processor, settings, server)

    @property
    def on_gpu(self) -> bool:
        """Unknown; batches are those of a CPU, so that results come early."""
        return False

    def translate_segments(self, segments: Sequence[Segment]) -> Iterator[Utterance]:
        """The translations in the order of the segments, each as soon as it is there.

        Raises ServerError at the first that the server does not translate.
        """
        audio = [part.audio for part in segments]
        limit = self.settings.max_new_tokens
        texts = self.server.translate(audio, self.deployment.prompt, self.pair, limit)
        for part, text in zip(segments, texts, strict=True):
            yield Utterance(part.start, part.end, text)
