"""chrF of a talk cut by the voice-activity detector, and of the corpus's own segments.

The talk is the corpus's clips with pauses of random length between them.
"""

from collections.abc import Sequence

import harness
import numpy as np
import torch

from slimspeech.data.audio import SAMPLING_RATE, read_audio
from slimspeech.evaluation.resegmentation import chrf_of_running_text
from slimspeech.languages import target_code
from slimspeech.longform.segmentation import Segment, SegmentationSettings, segment
from slimspeech.longform.translator import Translator

SHORTEST, LONGEST = 0.4, 1.5  # seconds of a pause
CUTS = {
    "--speech-pad 0.2": {"pad": 0.2},
    "the default": {},
    "--min-silence 0.3": {"min_silence": 0.3},
    "--min-silence 0.3 --max-pause 0.5": {"min_silence": 0.3, "max_pause": 0.5},
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = harness.make_parser(__doc__, clips=60)
    parser.set_defaults(segments=[harness.RESULTS / "data" / "test.jsonl"])
    parser.add_argument("--seed", type=int, default=0, help="of the pauses")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    _, rows = harness.load_inputs(options, options.clips)
    source, target = rows[0]["pair"].split("-", 1)
    translator = Translator.load(options.model, target, source, precision=options.precision)
    clips = [read_audio(row["audio"]) for row in rows]
    talk = with_pauses(clips, options.seed)

    def chrf(segments: Sequence[Segment]) -> str:
        batches = translator.batches(segments)
        hypotheses = [t.text for batch in batches for t in translator.translate_segments(batch)]
        references = [row["target"] for row in rows]
        return f"{chrf_of_running_text(hypotheses, references, target_code(translator.pair)):.1f}"

    lines = []
    for name, changed in CUTS.items():
        settings = {"max_seconds": translator.window} | changed
        segments = list(segment([talk], SegmentationSettings(**settings)))
        lines.append([name, len(segments), chrf(segments)])
    own = [Segment(0, len(clip) / SAMPLING_RATE, clip) for clip in clips]
    lines.append(["the corpus's own segments", len(own), chrf(own)])
    harness.report(
        "A talk cut by the detector",
        [f"{len(clips)} clips, {len(talk) / SAMPLING_RATE:.0f} s, {options.precision}"],
        harness.table(["cut", "segments", "chrF"], lines),
    )


def with_pauses(clips: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """The samples of a talk; each pause is silence of SHORTEST to LONGEST seconds."""
    generator = np.random.default_rng(seed)
    parts = []
    for clip in clips:
        pause = round(generator.uniform(SHORTEST, LONGEST) * SAMPLING_RATE)
        parts += [clip, np.zeros(pause, dtype=np.float32)]
    return np.concatenate(parts)


if __name__ == "__main__":
    harness.run(main)
