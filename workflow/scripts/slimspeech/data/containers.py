"""Where the audio lies in a file, when the sizes in its headers cannot be trusted.

A program that writes to a pipe cannot go back to write the size of what it wrote; a 32-bit size
wraps at 4 GiB; files are joined with `cat`. A decoder that trusts the header then refuses the file
or stops early. Here a file is divided into streams, each with a header that is true.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

# A recorder that is stopped loses less than this: so much more in a header is no damage.
BLOCK_BYTES = 4096
# Sizes that programs write which cannot know them: sox and eSpeak NG 7FFFF000, sox in AIFF
# 7F000008, lame and opusdec 7FFFFFFF, arecord 80000000, others FFFFF000 to FFFFFFFF.
UNKNOWN_SIZES = (range(0x7F000000, 0x80001000), range(0xFFFFF000, 2**32))
# A header with a 32-bit size is given to so many bytes at once.
LARGEST = 2**30
WINDOW = 2**20
ID3V1_BYTES = 128
MOST_STREAMS = 10_000
MAGICS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"caff", b"fLaC", b"OggS", b".snd")
# Chunks behind the samples that may themselves be cut short.
_NAMES = b"LISTid3 ID3 bextiXMLcue smplfactPEAKJUNKFLLRPAD _PMXafspDISPcartaxml"
CHUNKS = {_NAMES[first : first + 4] for first in range(0, len(_NAMES), 4)}
MPEG = (0x50, 0x55)  # MP2 and MP3 inside a WAV
STREAM_INFO = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
STREAM_INFO_BYTES = 26  # as far as the length


@dataclass(frozen=True)
class Stream:
    """Audio under one header: the bytes `head`, then those of the file from `start` to `end`.

    missing: bytes that the file's own header promises behind `end`; None if it says no length.
    promised: samples per channel by the file's own header, if `head` does not say it. is_cut:
    whether the file ends inside. is_unmarked: whether the mark of its end is missing. is_true:
    whether all sizes in its own header are right.
    """

    start: int
    end: int
    head: bytes = b""
    missing: int | None = 0
    promised: int | None = None
    is_cut: bool = False
    is_unmarked: bool = False
    is_true: bool = True


def find_streams(file: BinaryIO, size: int) -> list[Stream]:
    """The streams of a file of `size` bytes, in their order.

    Formats other than WAV, Wave64, AIFF, CAF, AU, FLAC and Ogg are one stream.
    """
    streams: list[Stream] = []
    start, end = 0, _before_tags(file, size)
    while start < end:
        begin = skip_id3(file, start, end)
        find = _FINDERS.get(_read(file, begin, 4))
        if find is None or len(streams) >= MOST_STREAMS:
            return [*streams, Stream(start, end)]
        # The samples of WAV may look like a tag; its sizes say where they end.
        found, start = find(file, begin, size if find is _chunked else end)
        streams += found
    return streams or [Stream(0, size)]


def skip_id3(file: BinaryIO, start: int, end: int) -> int:
    """The position behind the ID3v2 tags at `start`, which other formats than MP3 have too."""
    while (tag := _read(file, start, 10))[:3] == b"ID3" and len(tag) == 10:
        size = 0
        for byte in tag[6:]:
            size = size << 7 | byte & 0x7F
        start += 10 + size + (10 if tag[5] & 0x10 else 0)
    return min(start, end)


def _before_tags(file: BinaryIO, end: int) -> int:
    """The end of the file without the ID3v1, APE and Lyrics3 tags behind the audio.

    A tag whose size does not lead to its beginning is none: its size may not hide audio.
    """
    while True:
        start = end
        digits = _read(file, end - 15, 6)
        if _read(file, end - ID3V1_BYTES, 3) == b"TAG":
            start = end - ID3V1_BYTES
        elif _read(file, end - 32, 8) == b"APETAGEX":
            size, _, flags = struct.unpack("<III", _read(file, end - 20, 12))
            item = _read(file, end - size, 12)  # its size, its flags, and its name
            if flags >> 31 and _read(file, end - size - 32, 8) == b"APETAGEX":
                start = end - size - 32
            elif int.from_bytes(item[:4], "little") < size and item[8:].isalnum():
                start = end - size
        elif _read(file, end - 9, 9) == b"LYRICS200" and digits.isdigit():
            begin = end - 15 - int(digits)
            start = begin if _read(file, begin, 11) == b"LYRICSBEGIN" else end
        if start == end:
            return end
        end = start


@dataclass(frozen=True)
class _Layout:
    """How a format divides a file into chunks: a name of `name` bytes, a size by its struct code,
    content. own: bytes of name and size that the size includes. align: of chunks. first: where the
    first chunk begins. before: bytes of content before the samples."""

    order: str
    name: int = 4
    code: str = "I"
    own: int = 0
    align: int = 2
    first: int = 12
    before: int = 0

    @property
    def header(self) -> struct.Struct:
        return struct.Struct(f"{self.order}{self.name}s{self.code}")

    def behind(self, content: int, size: int) -> int:
        """The position behind a chunk."""
        return content + size + -size % self.align


_LAYOUTS = {
    b"RIFF": _Layout("<"),
    b"RF64": _Layout("<"),
    b"RIFX": _Layout(">"),
    b"FORM": _Layout(">", before=8),
    b"caff": _Layout(">", code="q", align=1, first=8, before=4),
    b"riff": _Layout("<", name=16, code="q", own=24, align=8, first=40),  # Wave64
}


@dataclass(frozen=True)
class _Samples:
    """The chunk with the samples of a file that begins at `start`: where its content begins, its
    size by its header, and bytes of a block."""

    start: int
    content: int
    size: int
    block: int
    layout: _Layout

    @property
    def begin(self) -> int:
        return self.content + self.layout.before


def _chunked(file: BinaryIO, start: int, end: int) -> tuple[list[Stream], int]:
    """WAV, RF64, Wave64, AIFF and CAF, and the position where the next file begins."""
    layout = _LAYOUTS[_read(file, start, 4)]
    header = layout.header
    position, codec, block, size64 = start + layout.first, 0, 1, None
    while len(data := _read(file, position, header.size)) == header.size and position < end:
        name, size = header.unpack(data)
        content, size = position + header.size, size - layout.own
        if name[:4] in (b"data", b"SSND"):
            if size == 2**32 - 1 and size64 is not None and size64 < 2**63:
                size = size64
            samples = _Samples(start, content, size, max(1, block), layout)
            streams, stop = _find_end(file, samples, end)
            if codec in MPEG:  # its decoder needs no header of WAV
                streams = [Stream(samples.begin, stop, is_true=False)]
            return streams, stop
        if size < 0:
            break
        if name[:4] == b"fmt " and len(fields := _read(file, content, 14)) == 14:
            codec, *_, block = struct.unpack(f"{layout.order}HHIIH", fields)
        elif name == b"ds64":
            size64 = int.from_bytes(_read(file, content + 8, 8), "little")
        position = layout.behind(content, size)
    return [Stream(start, end)], end


def _find_end(file: BinaryIO, samples: _Samples, end: int) -> tuple[list[Stream], int]:
    last = samples.content + samples.size
    unknown = last <= samples.begin or samples.size > 2**62
    unknown = unknown or any(samples.size in sizes for sizes in UNKNOWN_SIZES)
    if samples.begin <= last <= end:
        stop = _behind_chunks(file, samples, last, end)
        if stop is not None and samples.size % 2 and samples.block % 2 == 0:
            return _with_true_sizes(file, samples, min(last + 1, stop)), stop
        if stop is not None:
            # libsndfile takes the byte that pads an odd size for a sample.
            padded = samples.size % 2 and samples.layout.order == "<"
            return [Stream(samples.start, last if padded else stop)], stop
    stop = end
    if unknown:  # files from pipes may be joined
        following = _find(file, (b"WAVEfmt ",), samples.begin, end)
        stop = following[0] - 8 if following else end
    streams = _with_true_sizes(file, samples, stop)
    if streams:
        missing = None if unknown else max(0, last - end)
        streams[-1] = replace(streams[-1], missing=missing)
    return streams, stop


def _with_true_sizes(file: BinaryIO, samples: _Samples, stop: int) -> list[Stream]:
    layout = samples.layout
    head = bytearray(_read(file, samples.start, samples.begin - samples.start))
    if head[:4] == b"RF64":
        head[:4], head[12:16] = b"RIFF", b"JUNK"
    size = struct.Struct(layout.order + layout.code)
    field = slice(samples.content - samples.start - size.size, samples.content - samples.start)
    step = LARGEST // samples.block * samples.block
    streams = []
    for first in range(samples.begin, stop, step):
        last = min(first + step, stop)
        head[field] = size.pack(layout.own + layout.before + last - first)
        streams.append(Stream(first, last, bytes(head), is_true=False))
    return streams


def _behind_chunks(file: BinaryIO, samples: _Samples, last: int, end: int) -> int | None:
    """Where the chunks from `last` end: at the next file, or at the end of this one.

    None if what follows are no chunks: then the samples go on.
    """
    header, content = samples.layout.header, samples.content
    for at in dict.fromkeys((samples.layout.behind(content, last - content), last)):  # no padding
        while at < end and _read(file, at, 4) not in MAGICS:
            data = _read(file, at, header.size)
            if len(data) < header.size or not all(32 <= byte < 127 for byte in data[:4]):
                break
            name, size = header.unpack(data)
            behind = samples.layout.behind(at + header.size, size - samples.layout.own)
            if behind <= at or (behind > end + 1 and name not in CHUNKS):
                break
            at = behind
        else:
            return min(at, end)
    rest = _read(file, last, min(BLOCK_BYTES + 1, end - last))
    is_tag = rest[:3] == b"TAG" and len(rest) == ID3V1_BYTES
    return end if is_tag or (len(rest) <= BLOCK_BYTES and not any(rest)) else None


def _au(file: BinaryIO, start: int, end: int) -> tuple[list[Stream], int]:
    header = _read(file, start, 12)
    if len(header) < 12:
        return [Stream(start, end)], end
    offset, size = struct.unpack(">II", header[4:])
    missing = start + offset + size - end
    if size == 0 or any(size in sizes for sizes in UNKNOWN_SIZES):
        missing = None
    head = header[:8] + b"\xff\xff\xff\xff"
    return [Stream(start + 12, end, head, missing and max(0, missing), is_true=missing == 0)], end


def _flac(file: BinaryIO, start: int, end: int) -> tuple[list[Stream], int]:
    """FLAC streams, each with a header that says no length, so that a decoder reads to the end."""
    latest = end - STREAM_INFO_BYTES + len(STREAM_INFO[0])
    positions = _find(file, STREAM_INFO, start, latest, most=MOST_STREAMS)
    if not positions:
        return [Stream(start, end)], end
    streams = []
    for first, last in zip(positions, [*positions[1:], end], strict=True):
        head = bytearray(_read(file, first, STREAM_INFO_BYTES))
        total = int.from_bytes(head[21:26], "big") & 0xF_FFFF_FFFF  # 36 bits
        head[21] &= 0xF0
        head[22:26] = bytes(4)
        missing = 0 if total else None
        streams.append(Stream(first + len(head), last, bytes(head), missing, total or None))
    return streams, end


def _ogg(file: BinaryIO, start: int, end: int) -> tuple[list[Stream], int]:
    """The links of an Ogg file (RFC 3533). Its first pages are marked, one a codec."""
    streams: list[Stream] = []
    link = position = start
    in_head, open_codecs = True, set()
    while position < end:
        page = _read(file, position, 27)
        if page[:4] != b"OggS" or len(page) < 27:
            following = _find(file, (b"OggS",), position + 1, end, most=1)
            position = following[0] if following else end
            continue
        is_first, is_last, codec = page[5] & 2, page[5] & 4, page[14:18]
        if is_first and not in_head and len(streams) < MOST_STREAMS:
            streams.append(Stream(link, position, is_unmarked=bool(open_codecs)))
            link, open_codecs = position, set()
        in_head = bool(is_first)
        (open_codecs.discard if is_last else open_codecs.add)(codec)
        position += 27 + page[26] + sum(_read(file, position + 27, page[26]))
    last = Stream(link, end, is_cut=position > end, is_unmarked=bool(open_codecs))
    return [*streams, last], end


_FINDERS: dict[bytes, Callable[[BinaryIO, int, int], tuple[list[Stream], int]]] = {
    **dict.fromkeys(_LAYOUTS, _chunked),
    b".snd": _au,
    b"fLaC": _flac,
    b"OggS": _ogg,
}


def _find(
    file: BinaryIO, patterns: Sequence[bytes], start: int, end: int, most: int | None = None
) -> list[int]:
    """The positions of byte strings of one length, in order."""
    positions: list[int] = []
    overlap = len(patterns[0]) - 1
    while start < end and (most is None or len(positions) < most):
        data = _read(file, start, min(WINDOW + overlap, end - start))
        for pattern in patterns:
            at = data.find(pattern)
            while at >= 0:
                positions.append(start + at)
                at = data.find(pattern, at + 1)
        start += WINDOW
    return sorted(set(positions))[:most]


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    if not 0 <= position < 2**60:
        return b""
    file.seek(position)
    return file.read(count)
