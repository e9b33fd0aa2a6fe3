"""Speech by eSpeak is repeatable, well formed, and in other voices for the talks."""

import subprocess
import sys
import zlib

import numpy as np
import pytest

from slimspeech.errors import InputError
from slimspeech_mini import speech
from slimspeech_mini.speech import SAMPLING_RATE, Voice, speak, voices

US = Voice("en-us+m3", rate=165, pitch=40, range=50)
SCOT = Voice("en-gb-scotland+f2", rate=180, pitch=60, range=45)
SENTENCE = "We remove one layer after another."


@pytest.mark.parametrize("voice", [US, SCOT, Voice("en-gb-x-rp+whisper", 170, 50, 50)])
def test_speech_does_not_depend_on_earlier_calls(voice):
    first = speak(SENTENCE, voice)
    speak("Something else, and longer than that.", SCOT)
    speak("Once more.", US)
    assert np.array_equal(first, speak(SENTENCE, voice))


def test_speech_is_the_same_in_another_process():
    code = (
        "import sys, zlib; sys.path[:] = eval(sys.argv[1])\n"
        "from slimspeech_mini.speech import Voice, speak\n"
        f"print(zlib.crc32(speak({SENTENCE!r}, {US!r}).tobytes()))"
    )
    run = [sys.executable, "-c", code, repr(sys.path)]
    checksum = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    speak("Something before.", SCOT)
    assert int(checksum) == zlib.crc32(speak(SENTENCE, US).tobytes())


def test_samples_are_loud_and_trimmed():
    samples = speak(SENTENCE, US)
    assert samples.dtype == np.int16 and samples.ndim == 1
    assert abs(np.abs(samples).max() / 32767 - 10 ** (-3 / 20)) < 1e-3
    audible = np.flatnonzero(np.abs(samples) > 300)
    assert audible[0] < 0.1 * SAMPLING_RATE
    assert len(samples) - audible[-1] < 0.1 * SAMPLING_RATE
    # Six words at 165 a minute are 2.2 s.
    assert 1.5 < len(samples) / SAMPLING_RATE < 3.0


def test_rate_and_speaker_change_the_samples():
    slow = speak(SENTENCE, Voice("en-us+m3", rate=150, pitch=40, range=50))
    fast = speak(SENTENCE, Voice("en-us+m3", rate=190, pitch=40, range=50))
    assert len(slow) > 1.1 * len(fast)
    other = speak(SENTENCE, Voice("en-us+f2", rate=165, pitch=40, range=50))
    assert not np.array_equal(other, speak(SENTENCE, US))


@pytest.mark.parametrize("name", ["xx-nowhere", "en-us+nobody"])
def test_an_unknown_voice_is_named(name):
    with pytest.raises(InputError, match=name.rpartition("+")[2]):
        speak(SENTENCE, Voice(name, 170, 50, 50))


def test_silence_is_an_error():
    with pytest.raises(InputError, match="silence"):
        speak(" ", US)


def test_a_missing_wheel_names_the_fix(monkeypatch):
    speech._wheel.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match="espeakng-loader"):
        speak(SENTENCE, US)


def test_no_speaker_of_a_talk_speaks_elsewhere():
    assert not set(speech.TALK_SPEAKERS) & set(speech.OTHER_SPEAKERS)
    talks = {voice.name for voice in voices(0, 10, speech.TALK_SPEAKERS)}
    assert not talks & {voice.name for voice in voices(0, 120)}


def test_voices_are_distinct_varied_and_repeatable():
    drawn = voices(3, 120)
    assert drawn == voices(3, 120) != voices(4, 120)
    assert len({voice.name for voice in drawn}) == 120
    assert {voice.name.split("+")[0] for voice in drawn} == set(speech.ACCENTS)
    assert all(150 <= voice.rate <= 190 and 25 <= voice.pitch <= 75 for voice in drawn)
    with pytest.raises(ValueError, match="voices"):
        voices(0, 1000)


@pytest.mark.parametrize("accent", speech.ACCENTS)
def test_every_accent_speaks(accent):
    assert len(speak("one", Voice(accent, 170, 50, 50))) > 0.2 * SAMPLING_RATE


@pytest.mark.parametrize("speaker", speech.TALK_SPEAKERS + speech.OTHER_SPEAKERS)
def test_every_speaker_speaks(speaker):
    assert len(speak("one", Voice(f"en-us+{speaker}", 170, 50, 50))) > 0.2 * SAMPLING_RATE
