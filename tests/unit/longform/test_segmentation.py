"""Talks cut to segments, with a detector of loudness instead of Silero's."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimspeech.errors import InputError
from slimspeech.longform.segmentation import FRAME, SegmentationSettings, segment

SECOND = 16_000
SETTINGS = SegmentationSettings(max_seconds=6, pad=0.2)


def loud(frames: np.ndarray) -> np.ndarray:
    return (np.abs(frames).max(axis=1) > 0.1).astype(np.float32)


def talk(*parts: tuple[float, float], seed: int = 0) -> np.ndarray:
    """Seconds of silence, seconds of noise, and so on."""
    noise = np.random.default_rng(seed)
    pieces = []
    for silence, speech in parts:
        pieces += [
            np.zeros(round(silence * SECOND)),
            noise.uniform(0.2, 0.5, round(speech * SECOND)),
        ]
    return np.concatenate(pieces).astype(np.float32)


def cut(audio, settings=SETTINGS, block=SECOND, detector=loud):
    blocks = [audio[i : i + block] for i in range(0, len(audio), block)]
    return list(segment(blocks, settings, detector))


def test_segments_are_the_speech_with_some_silence():
    audio = talk((1, 2), (3, 1.5), (2.5, 0))
    segments = cut(audio)
    assert [(s.start, s.end) for s in segments] == [
        (pytest.approx(0.8, abs=0.04), pytest.approx(3.2, abs=0.04)),
        (pytest.approx(5.8, abs=0.04), pytest.approx(7.7, abs=0.04)),
    ]
    for part in segments:
        np.testing.assert_array_equal(
            part.audio, audio[round(part.start * SECOND) : round(part.end * SECOND)]
        )


@pytest.mark.parametrize("option", ["max_pause", "max_seconds"])
def test_infinity_is_a_length_that_is_never_reached(option):
    audio = talk((1, 2), (9, 2), (1, 0))
    assert cut(audio, replace(SETTINGS, **{option: float("inf")}))


lengths = st.one_of(st.floats(), st.floats(0, 10))


@settings(deadline=None, max_examples=50)
@given(lengths, lengths, lengths, lengths, lengths, st.booleans())
def test_any_lengths_are_refused_or_give_segments_in_order(a, b, c, d, e, detect):
    try:
        chosen = SegmentationSettings(a, 0.5, b, c, d, e, detect)
    except InputError:
        return
    segments = cut(talk((0.5, 2), (0.2, 3), (3, 1)), chosen)
    ends = [0.0, *(end for part in segments for end in (part.start, part.end)), 9.7]
    assert ends == sorted(ends)
    for part in segments:
        assert len(part.audio) == round((part.end - part.start) * SECOND) > 0


@pytest.mark.parametrize("block", [FRAME // 2, 1000, SECOND, 100 * SECOND])
@pytest.mark.parametrize("detect", [True, False])
def test_the_size_of_blocks_does_not_matter(block, detect):
    audio = talk((0.3, 2), (0.2, 9), (0.4, 1), (4, 3), (0.2, 2.2))
    settings = replace(SETTINGS, detect=detect)
    segments, expected = cut(audio, settings, block), cut(audio, settings, 7 * SECOND)
    assert [(s.start, s.end) for s in segments] == [(s.start, s.end) for s in expected]
    for one, other in zip(segments, expected, strict=True):
        np.testing.assert_array_equal(one.audio, other.audio)


@pytest.mark.parametrize("detect", [True, False])
@pytest.mark.parametrize("longest", [1.0, 2.5, 6.0, 18.0])
def test_no_segment_is_too_long_or_overlaps(longest, detect):
    audio = talk(*[(0.05 * (i % 9), 0.4 + i % 5) for i in range(30)])
    segments = cut(audio, replace(SETTINGS, max_seconds=longest, detect=detect))
    assert all(0 < len(s.audio) <= longest * SECOND for s in segments)
    assert all(len(s.audio) == round((s.end - s.start) * SECOND) for s in segments)
    for one, other in zip(segments, segments[1:], strict=False):
        assert one.end <= other.start


def test_short_utterances_are_joined_and_long_pauses_separate():
    segments = cut(talk((0, 1), (0.5, 1), (0.5, 1), (2.5, 1), (0.5, 1)))
    assert [(round(s.start, 1), round(s.end, 1)) for s in segments] == [(0, 4.2), (6.3, 9.0)]


def test_without_detection_nothing_is_lost():
    audio = talk((0.5, 9), (3, 8.1))
    segments = cut(audio, replace(SETTINGS, detect=False))
    np.testing.assert_array_equal(np.concatenate([s.audio for s in segments]), audio)


def test_without_detection_a_cut_falls_into_the_pause():
    segments = cut(talk((0, 4), (0.3, 4)), replace(SETTINGS, detect=False))
    assert 4 < segments[0].end < 4.3


@pytest.mark.parametrize("audio", [np.zeros(5 * SECOND, np.float32), np.zeros(0, np.float32)])
def test_a_talk_without_speech_has_no_segments(audio):
    assert cut(audio) == []


def test_a_click_is_not_speech_but_a_short_word_among_others_is():
    assert cut(talk((1, 0.1), (3, 0))) == []
    assert len(cut(talk((1, 1), (0.5, 0.1), (3, 0)))) == 1


def test_an_incomplete_last_frame_is_processed():
    segments = cut(talk((0, 1))[: SECOND - 100])
    assert [(s.start, s.end) for s in segments] == [(0, (SECOND - 100) / SECOND)]


def test_a_talk_of_any_length_needs_the_memory_of_two_segments():
    """20 minutes of almost unbroken speech: 77 MB of samples, of which 18 s are 1.2 MB."""
    block = talk((0.2, 4.8), (0.1, 4.9))

    def blocks():
        for _ in range(120):
            yield block.copy()

    tracemalloc.start()
    try:
        seconds = sum(s.end - s.start for s in segment(blocks(), SegmentationSettings(), loud))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seconds > 1150
    assert peak < 16e6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threshold": 1.5}, "threshold 1.5.*between 0 and 1"),
        ({"threshold": 0.0}, "threshold 0.*between 0 and 1"),
        ({"max_seconds": 0.5}, "max_seconds 0.5.*1 s or more"),
        ({"min_silence": -1.0}, "min_silence -1.*0 seconds or more"),
        ({"max_pause": float("nan")}, "max_pause nan"),
    ],
)
def test_invalid_settings_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        SegmentationSettings(**wrong)
