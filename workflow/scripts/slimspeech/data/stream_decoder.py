"""Decodes one stream of audio by libsndfile, and finds out where the decoder stopped, and why."""

import io
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import soundfile

from slimspeech.data import mpeg
from slimspeech.data.containers import BLOCK_BYTES, ID3V1_BYTES, Stream, skip_id3
from slimspeech.errors import InputError

LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000
BLOCK_SECONDS = 10
# A call that fails loses what it has decoded. After a failure calls ask for fewer frames.
FEW_FRAMES = (256, 1)
# An MP3's header counts whole frames, of which a decoder may drop the first.
MP3_SLACK_SECONDS = 0.1
# Sizes in bytes and lengths in samples that no file has.
ENDLESS = 2**40
UNKNOWN_FRAMES = 2**60
# What a file with the name of an audio file often is instead, by its first bytes.
IMPOSTORS = (
    (0, b"version https://git-lfs", "it is a pointer of Git LFS, run `git lfs pull`"),
    (0, b"\x00\x05\x16\x07", "it is what macOS keeps beside a file, give the file without ._"),
    (4, b"ftyp", "it is MP4 or M4A, convert it with ffmpeg"),
    (0, b"\x1aE\xdf\xa3", "it is WebM or Matroska, convert it with ffmpeg"),
    (0, b"0&\xb2u", "it is WMA, convert it with ffmpeg"),
    (0, b"#!AMR", "it is AMR, convert it with ffmpeg"),
    (0, b"\xff\xf1", "it is AAC, convert it with ffmpeg"),
    (0, b"\xff\xf9", "it is AAC, convert it with ffmpeg"),
    (0, b"\x1f\x8b", "it is compressed by gzip, unpack it"),
    (0, b"<!DOCTYPE", "it is a web page, download the file itself"),
    (0, b"<!doctype", "it is a web page, download the file itself"),
    (0, b"<html", "it is a web page, download the file itself"),
)


class Decoder:
    """Decodes one stream. sound: libsndfile's view of it. promised: samples per channel, None if
    unknown. After read(): position: samples delivered or skipped; ended: whether the stream has no
    more; rest: the stream that begins where the decoder stopped, and undecoded: bytes before it."""

    def __init__(self, file: BinaryIO, stream: Stream, name: str) -> None:
        self.stream, self.name, self._file = stream, name, file
        self.position = self.undecoded = 0
        self.ended = False
        self.rest: Stream | None = None
        begin = skip_id3(file, stream.start, stream.end)
        is_frame = mpeg.is_frame(file, begin) and not stream.head
        self._size, self._guesses = self._declared_size(begin if is_frame else None)
        self._bytes, self.sound = self._open()
        self.is_mp3 = self.sound.format == "MP3"
        if self.is_mp3 and not is_frame:  # other bytes lie between the tag and the first frame
            begin = mpeg.find_frames(file, begin, stream.end)
            self._size, self._guesses = self._declared_size(begin or stream.end)
            self._bytes, self.sound = self._open()
        self.missing, self.promised = self._promises()

    @property
    def is_short(self) -> bool:
        """Whether the stream ended before it should."""
        slack = round(MP3_SLACK_SECONDS * self.sound.samplerate) if self.is_mp3 else 1
        return self.stream.is_cut or (self.promised or 0) - self.position > slack

    def read(self, first: int, last: int | None) -> Iterator[np.ndarray]:
        """The samples from number `first` to before `last`, or to the end."""
        if first and self.promised is not None and not self.is_mp3:  # an MP3 is not exact there
            if first >= self.promised and self.stream.promised is None:
                self.position, self.ended = self.promised, True
                return
            self._seek(first)
        block = BLOCK_SECONDS * self.sound.samplerate
        counts = [block, *FEW_FRAMES]
        while last is None or self.position < last:
            skips = self.position < first
            count = block if skips else counts[0]
            # After a failure, what is promised is asked for without what follows it.
            for stop in (first if skips else last, self.promised if counts[0] < block else None):
                if stop is not None and stop > self.position:
                    count = min(count, stop - self.position)
            try:
                samples = self._read(count)
            except soundfile.LibsndfileError as error:
                counts.pop(0)
                if not counts:
                    self._end(error)
                    return
                first, self.position = max(first, self.position), 0
                self._bytes, self.sound = self._open()
                continue
            if not len(samples):
                self._end()
                return
            self.position += len(samples)
            if not skips:
                yield samples

    def _seek(self, first: int) -> None:
        try:
            self.position = self.sound.seek(first)
        except soundfile.LibsndfileError:  # then read() decodes what it skips
            self._bytes, self.sound = self._open()

    def _read(self, count: int) -> np.ndarray:
        samples = self.sound.read(count, dtype="float32", always_2d=True)
        if self._bytes.error:
            raise InputError(
                f"{self.name}: cannot be read ({self._bytes.error.strerror}); check the disk"
            )
        return samples

    def _end(self, failure: soundfile.LibsndfileError | None = None) -> None:
        """The decoder has no more: at the end of the stream, or where it cannot go on."""
        self.ended = True
        at, end = self._bytes.offset, self.stream.end
        if at >= end:
            return
        if self.is_mp3:
            self._find_rest(at, failed=failure is not None)
        elif failure and self.promised and self.position >= self.promised:
            self.undecoded = end - at
        elif failure:
            raise InputError(f"{self.name}: damaged audio ({failure}); replace the file")

    def _find_rest(self, at: int, failed: bool) -> None:
        """Where MP3 goes on: the decoder stops behind the frames that a header counts, behind the
        first frame of another rate, or in other bytes."""
        end = self.stream.end
        begin = mpeg.frame_before(self._file, self.stream.start + 1, at) if failed else None
        if begin is None:
            at = skip_id3(self._file, at, end)
            begin = mpeg.find_frames(self._file, at, end)
            self.undecoded = _count_nonzero(self._file, at, begin or end)
        if begin is None:
            return
        self.rest = Stream(begin, end)
        if failed and self.promised:
            self.rest = replace(self.rest, promised=max(0, self.promised - self.position))
            self.promised = self.position

    def _declared_size(self, begin: int | None) -> tuple[int, bool]:
        """The size in bytes that libsndfile is given, and whether it guesses the length from it.

        begin: of the frames of an MP3. If the first says no length, the size is larger than any
        file: libsndfile would stop where it guesses the end. If it says a size, libsndfile
        complains about any other.
        """
        stream = self.stream
        size = len(stream.head) + stream.end - stream.start
        if begin is None:
            return size, False
        counted = mpeg.counted_bytes(self._file, begin)
        if counted is None:
            return ENDLESS, True
        return begin - stream.start + counted if counted else size, False

    def _open(self) -> tuple["_Bytes", "_Forward"]:
        stream = self.stream
        bytes_ = _Bytes(self._file, stream, self._size)
        try:
            sound = _Forward(bytes_)
        except soundfile.LibsndfileError as error:
            raise InputError(
                f"{self.name}: not audio that soundfile can read "
                f"({_impostor(self._file) or error.error_string}); give wav, flac, ogg or mp3"
            ) from error
        if not LOWEST_RATE <= sound.samplerate <= HIGHEST_RATE:
            raise InputError(
                f"{self.name}: a sampling rate of {sound.samplerate} Hz is outside {LOWEST_RATE} "
                f"to {HIGHEST_RATE} Hz; correct the header or export the clip again"
            )
        return bytes_, sound

    def _promises(self) -> tuple[int | None, int | None]:
        """Bytes that are missing, and samples that are promised."""
        stream, frames = self.stream, self.sound.frames
        if stream.promised is not None:
            return stream.missing, stream.promised
        if stream.missing is None or self._guesses or frames >= UNKNOWN_FRAMES:
            return None, None
        missing, there = stream.missing, stream.end - stream.start
        # libsndfile lowers a size to what there is, and says so only in its log.
        sizes = re.search(r"^\s*data : (\d+) \(should be (\d+)\)", self.sound.extra_info, re.M)
        if sizes and not missing:
            there = int(sizes[2])
            missing = int(sizes[1]) - there
            if missing > ENDLESS:
                return None, None
        lost = missing if missing > BLOCK_BYTES else 0
        return missing, frames + lost * frames // max(1, there)


class _Bytes(io.RawIOBase):
    """The bytes of a stream as a file.

    offset: the position in the real file. error: of a read, which libsndfile would take for the end
    of the file. size: what libsndfile believes the size to be.
    """

    def __init__(self, file: BinaryIO, stream: Stream, size: int) -> None:
        self._file, self._stream, self._size = file, stream, size
        self._position = 0
        self.error: OSError | None = None

    @property
    def offset(self) -> int:
        return self._stream.start + self._position - len(self._stream.head)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        count, head = len(buffer), self._stream.head
        if self._position < len(head):
            data = head[self._position : self._position + count]
        elif self.offset >= self._stream.end and self._position == self._size - ID3V1_BYTES:
            data = bytes(count)  # the decoder of MP3 looks for a tag there before it begins
        else:
            try:
                self._file.seek(max(0, self.offset))
                data = self._file.read(max(0, min(count, self._stream.end - self.offset)))
            except OSError as error:
                self.error, data = error, b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class _Forward(soundfile.SoundFile):
    """A file that is read from start to end.

    In a seekable file soundfile seeks to the current position after every read. An MP3 decoder then
    starts again, and its first samples are wrong.
    """

    def seekable(self) -> bool:
        return False


def _impostor(file: BinaryIO) -> str | None:
    file.seek(0)
    start = file.read(64)
    return next((text for at, magic, text in IMPOSTORS if start.startswith(magic, at)), None)


def _count_nonzero(file: BinaryIO, start: int, end: int) -> int:
    """Bytes between two positions up to the last that is not zero."""
    file.seek(start)
    return len(file.read(end - start).rstrip(b"\0"))
