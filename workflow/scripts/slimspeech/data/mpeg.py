"""Frame headers of MPEG audio (ISO/IEC 11172-3 and 13818-3): what is needed to find frames."""

import re
from dataclasses import dataclass
from typing import BinaryIO

# Bytes that are searched at once, and the longest frame.
WINDOW, LONGEST_FRAME = 2**20, 4096
# So many frames in a row are no accident.
IN_A_ROW = 3
_SYNC = re.compile(rb"\xff[\xe2-\xff][\x10-\xef]")
_SAMPLING_RATES = (44_100, 48_000, 32_000)
_KBIT_1 = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBIT_2 = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclass(frozen=True)
class Frame:
    """size: in bytes with the header. kind: equal for the frames of one stream."""

    size: int
    kind: tuple[int, int, int, bool]


def parse_header(data: bytes) -> Frame | None:
    """The frame that begins with these four bytes; None if they are no header."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = (data[1] >> 3) & 3, 4 - ((data[1] >> 1) & 3)
    kbit, rate = data[2] >> 4, (data[2] >> 2) & 3
    if version == 1 or layer == 4 or rate == 3 or kbit in (0, 15):  # 0 is the free format
        return None
    bits = (_KBIT_1 if version == 3 else _KBIT_2)[layer][kbit - 1] * 1000
    sampling_rate = _SAMPLING_RATES[rate] >> (3 - version if version else 2)
    padding = (data[2] >> 1) & 1
    if layer == 1:
        size = (12 * bits // sampling_rate + padding) * 4
    else:
        slots = 72 if layer == 3 and version != 3 else 144
        size = slots * bits // sampling_rate + padding
    return Frame(size, (version, layer, sampling_rate, data[3] >> 6 == 3))


def find_frames(file: BinaryIO, start: int, end: int) -> int | None:
    """The position of the first frame between two positions, if others follow it or the end."""
    while start < end:
        file.seek(start)
        data = file.read(min(WINDOW + 2, end - start))
        for match in _SYNC.finditer(data):
            if _frames_follow(file, start + match.start(), end):
                return start + match.start()
        start += WINDOW
    return None


def frame_before(file: BinaryIO, start: int, end: int) -> int | None:
    """The position of the frame between two positions that ends at `end`."""
    start = max(start, end - LONGEST_FRAME)
    file.seek(start)
    data = file.read(end - start)
    for match in _SYNC.finditer(data):
        frame = parse_header(data[match.start() : match.start() + 4])
        if frame and start + match.start() + frame.size == end:
            return start + match.start()
    return None


def is_frame(file: BinaryIO, position: int) -> bool:
    file.seek(position)
    return parse_header(file.read(4)) is not None


def counted_bytes(file: BinaryIO, start: int) -> int | None:
    """Bytes of the stream by its first frame, if that says how many frames follow (Xing or Info).

    0 if it says frames alone; None if it is no such frame, and the length can only be guessed.
    """
    file.seek(start)
    data = file.read(200)
    tag = max(data.find(b"Xing"), data.find(b"Info"))
    if (
        tag < 0
        or len(data) < tag + 16
        or not data[tag + 7] & 1
        or not any(data[tag + 8 : tag + 12])
    ):
        return None
    return int.from_bytes(data[tag + 12 : tag + 16], "big") if data[tag + 7] & 2 else 0


def _frames_follow(file: BinaryIO, position: int, end: int) -> bool:
    kind = None
    for number in range(IN_A_ROW):
        if position == end:
            return number > 0
        file.seek(position)
        frame = parse_header(file.read(4))
        if frame is None or (kind and frame.kind != kind):
            return False
        kind = frame.kind
        position += frame.size
    return True
