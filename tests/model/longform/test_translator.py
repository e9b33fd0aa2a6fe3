"""From a file to timed translations, with the model that memorised six clips."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from tiny_model import Loud, lay_out

from slimspeech.data.audio import read_audio
from slimspeech.errors import InputError
from slimspeech.longform import segmentation, translator
from slimspeech.longform.segmentation import SegmentationSettings, SileroDetector, segment
from slimspeech.longform.translator import Translator, find_device
from slimspeech.quantization.pack import pack
from slimspeech_mini.speech import Voice, speak

WHOLE = SegmentationSettings(detect=False)


@pytest.fixture
def german(trained) -> Translator:
    return Translator.load(trained[0], "de", device="cpu")


@pytest.fixture
def talk(rows, tmp_path) -> tuple[str, list[str]]:
    """The German clips with pauses of 3 s, in stereo at 16 kHz, and their translations."""
    german = [row for row in rows if row["pair"] == "en-de"]
    audio = lay_out([read_audio(row["audio"]) for row in german])
    path = tmp_path / "talk.flac"
    soundfile.write(path, np.stack([audio, audio], axis=1), 16_000)
    return str(path), [row["target"] for row in german]


def test_a_clip_is_one_utterance(german, rows):
    for row in rows:
        if row["pair"] == "en-de":
            [utterance] = german.translate(row["audio"], WHOLE)
            assert (utterance.start, utterance.end) == (0, row["duration"])
            assert utterance.text == row["target"]


def test_a_talk_becomes_utterances_with_times(german, talk, monkeypatch):
    path, texts = talk
    monkeypatch.setattr(segmentation, "SileroDetector", Loud)
    utterances = list(german.translate(path, SegmentationSettings(pad=0)))
    assert [utterance.text for utterance in utterances] == texts
    # The clips are 1.5, 0.5 and 2.5 s long, after pauses of 94 frames of 32 ms.
    assert [u.start for u in utterances] == [3.008, 7.52, 11.04]
    assert [u.end - u.start for u in utterances] == pytest.approx([1.5, 0.5, 2.5], abs=0.032)


@pytest.mark.parametrize("seconds", [1, 2, 1000])
def test_the_amount_translated_together_does_not_matter(seconds, german, talk, monkeypatch):
    path, _ = talk
    monkeypatch.setattr(segmentation, "SileroDetector", Loud)
    expected = list(german.translate(path))
    monkeypatch.setattr(translator, "BATCH_SECONDS_CPU", seconds)
    assert list(german.translate(path)) == expected and len(expected) == 3


def test_audio_is_read_only_when_it_is_needed(german, monkeypatch):
    """Of a talk of an hour, only what is translated or in the current batch has been read."""
    read = 0

    def blocks(*_):
        nonlocal read
        for _ in range(360):
            read += 10
            yield np.full(160_000, 0.3, np.float32)

    monkeypatch.setattr(translator, "read_blocks", blocks)
    monkeypatch.setattr(
        Translator,
        "translate_segments",
        lambda self, segments: [translator.Utterance(s.start, s.end, "") for s in segments],
    )
    utterances = german.translate("talk.wav", WHOLE)
    for _ in range(3):
        next(utterances)
    assert read <= translator.BATCH_SECONDS_CPU + 3 * 10


def test_no_segment_is_longer_than_the_input_window(german):
    assert german.window == 6
    audio = 0.1 * np.ones(16_000 * 20, np.float32)
    segments = segment([audio], replace(WHOLE, max_seconds=german.window))
    assert max(s.end - s.start for s in segments) <= 6
    assert german.translate_segments([]) == []


def test_the_model_translates_into_the_requested_language(trained, rows):
    chinese = Translator.load(trained[0], "Chinese", device="cpu")
    row = rows[1]
    assert chinese.pair == row["pair"] == "en-zh"
    [utterance] = chinese.translate(row["audio"], WHOLE)
    assert utterance.text == row["target"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tpu", "'tpu'.*not supported"),
        ("meta", "'meta'.*not supported"),
        ("cuda:99", "'cuda:99'.* GPUs"),
    ],
)
def test_a_device_that_does_not_exist_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        find_device(name)


def test_the_default_device_is_a_gpu_if_there_is_one():
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert find_device("cpu") == torch.device("cpu")


def test_silero_detects_speech_and_leaves_the_threads_of_torch():
    """A sentence spoken by eSpeak NG between two seconds of silence each, and a tone."""
    threads = torch.get_num_threads()
    text = "Good morning, my name is Anna, and I will present our work on small models."
    sentence = speak(text, Voice("en-us+f1", 160, 50, 50)).astype(np.float32) / 32768
    silence = np.zeros(32_000, np.float32)
    segments = list(segment([silence, sentence, silence], SegmentationSettings()))
    detected = sum(part.end - part.start for part in segments)
    spoken = len(sentence) / 16_000
    assert 0.6 * spoken < detected < spoken + 1
    assert all(part.start > 1.5 and part.end < 2.5 + spoken for part in segments)
    tone = 0.3 * np.sin(np.arange(64_000) / 5).astype(np.float32)
    assert list(segment([tone], SegmentationSettings())) == []
    assert torch.get_num_threads() == threads


def test_the_detector_keeps_its_state_between_calls():
    frames = np.random.default_rng(0).normal(scale=0.1, size=(40, 512)).astype(np.float32)
    whole, parts = SileroDetector(), SileroDetector()
    np.testing.assert_array_equal(
        whole(frames), np.concatenate([parts(frames[:7]), parts(frames[7:])])
    )
    # A new detector has no state of an earlier talk.
    assert not np.array_equal(whole(frames), SileroDetector()(frames))


@pytest.mark.parametrize("kernel", [False, True])
def test_4_bit_weights_on_a_cpu_without_a_kernel_are_warned_of(
    kernel, trained, tmp_path, monkeypatch, caplog
):
    pack(trained[0], tmp_path / "packed")
    monkeypatch.setattr(translator, "has_avx512bf16", lambda: kernel)
    for small, told in ((10**9, False), (0, not kernel)):
        monkeypatch.setattr(translator, "SMALL", small)
        caplog.clear()
        Translator.load(tmp_path / "packed", "de", device="cpu")
        assert ("export/bf16" in caplog.text) == told
