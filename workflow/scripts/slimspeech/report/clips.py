"""The clips of the test set: embedded in the page, linked, or omitted."""

import base64
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lameenc
import soundfile

from slimspeech.errors import InputError

LINK, NONE = "link", "none"
# MPEG-2 Layer III at 16 kHz mono: 2 kB per second, and every browser plays it.
KBIT_PER_SECOND = 16
# LAME's quality, 0 best to 9 fastest: a third of the time of 5, equally good at this bit rate.
QUALITY = 7


def clip_urls(
    paths: Iterable[str], mode: str, folder: str | Path, root: str | Path = "."
) -> dict[str, str]:
    """The src of an audio element, by the path of the clip from the project's root.

    mode: "embed" for MP3 data, "link" for paths relative to `folder`, the report's, "none" for no
    clips. Clips that do not exist are omitted, because users may delete `data/audio`. Raises
    InputError naming a clip that cannot be read.
    """
    if mode == NONE:
        return {}
    root = Path(root)
    existing = [path for path in dict.fromkeys(paths) if (root / path).is_file()]
    if mode == LINK:
        return {path: Path(os.path.relpath(path, folder)).as_posix() for path in existing}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(existing, pool.map(lambda path: _mp3(root / path), existing), strict=True))


def _mp3(path: Path) -> str:
    try:
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: cannot be read ({error}); create it again") from error
    # libsndfile also writes MP3, but takes seven times as long, because it fixes LAME's quality.
    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_bit_rate(KBIT_PER_SECOND)
    encoder.set_in_sample_rate(rate)
    encoder.set_channels(samples.shape[1])
    encoder.set_quality(QUALITY)
    data = encoder.encode(samples.tobytes()) + encoder.flush()
    return "data:audio/mpeg;base64," + base64.b64encode(data).decode("ascii")
