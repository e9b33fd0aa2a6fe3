"""The clips of the test set, for the page to play: inside it, beside it, or not at all."""

import base64
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lameenc
import soundfile

from slimspeech.errors import InputError

EMBED, LINK, NONE = "embed", "link", "none"
# For 16 kHz mono, MPEG-2 Layer III: 2 kB a second, and it plays in every browser.
KBIT_PER_SECOND = 16
# Of LAME, 0 best to 9 fastest: a third of the time of 5, and as near to the clip at this bit rate.
QUALITY = 7


def clip_urls(
    paths: Iterable[str], mode: str, folder: str | Path, root: str | Path = "."
) -> dict[str, str]:
    """What the src of an audio element is, by the path of the clip from the project's root.

    mode: "embed" gives MP3 as data, "link" paths relative to `folder`, where the report will be,
    "none" nothing. A clip that is not there is left out, as `data/audio` may be deleted.
    Raises InputError naming a clip that cannot be read.
    """
    root = Path(root)
    there = [path for path in dict.fromkeys(paths) if (root / path).is_file()]
    if mode == LINK:
        return {path: Path(os.path.relpath(path, folder)).as_posix() for path in there}
    if mode == NONE:
        return {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(there, pool.map(lambda path: _mp3(root / path), there), strict=True))


def _mp3(path: Path) -> str:
    try:
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: cannot be read ({error}); make it again") from error
    # libsndfile writes MP3 too, but in seven times the time: it leaves LAME no choice of quality.
    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_bit_rate(KBIT_PER_SECOND)
    encoder.set_in_sample_rate(rate)
    encoder.set_channels(samples.shape[1])
    encoder.set_quality(QUALITY)
    data = encoder.encode(samples.tobytes()) + encoder.flush()
    return "data:audio/mpeg;base64," + base64.b64encode(data).decode("ascii")
