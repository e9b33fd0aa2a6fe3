"""Speech for the mini corpora: eSpeak NG, from the espeakng-loader wheel, through ctypes."""

import _ctypes
import ctypes
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soxr

from slimspeech.errors import InputError

SAMPLING_RATE = 16000
PEAK = 10 ** (-3 / 20)  # -3 dBFS
SILENCE = 10 ** (-45 / 20)  # of full scale, once the peak is set
MARGIN = 0.05  # seconds kept before the first and after the last audible sample

ACCENTS = (
    "en-us",
    "en",  # British
    "en-us-nyc",
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-029",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
)
# Speakers are voice variants of eSpeak. Those of the archive's talks speak nowhere else, so that
# every talk has a voice that is new to the base model, in an accent from its training data.
TALK_SPEAKERS = ("m1", "f1", "m3", "f4", "Andy", "Annie", "m7", "belinda", "john", "paul")
OTHER_SPEAKERS = (
    *("m2", "m4", "m5", "m6", "m8", "f2", "f3", "f5", "Alex", "Alicia", "Denis", "Lee", "Mario"),
    *("Michael", "adam", "anika", "antonio", "benjamin", "david", "ed", "edward", "grandpa"),
    *("linda", "max", "mike2", "robert", "steph", "victor", "zac"),
)

# Constants of eSpeak NG's speak_lib.h.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)  # samples (int16), their number, events
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Voice:
    """name: with a variant, such as "en-gb-scotland+f2". rate: words a minute. pitch, range: 0 to
    100."""

    name: str
    rate: int
    pitch: int
    range: int


def voices(seed: int, count: int, speakers: Sequence[str] = OTHER_SPEAKERS) -> list[Voice]:
    """Draw distinct voices. Every speaker has one before any has a second, in another accent.

    Raises ValueError if `count` exceeds the number of pairs of speaker and accent.
    """
    if count > len(speakers) * len(ACCENTS):
        raise ValueError(f"{len(speakers)} speakers make {len(speakers) * len(ACCENTS)} voices")
    draw = random.Random(f"voices {seed}")
    order = draw.sample(speakers, len(speakers))
    accents = draw.sample(ACCENTS, len(ACCENTS))
    drawn = []
    for number in range(count):
        turn, index = divmod(number, len(order))
        drawn.append(
            Voice(
                f"{accents[(turn + index) % len(accents)]}+{order[index]}",
                rate=draw.randint(150, 190),
                pitch=draw.randint(25, 75),
                range=draw.randint(40, 60),
            )
        )
    return drawn


def speak(text: str, voice: Voice) -> np.ndarray:
    """Speak a sentence: int16 samples, mono, at SAMPLING_RATE, peak at -3 dBFS, silence trimmed.

    The samples depend on text and voice alone, not on earlier calls. Raises InputError if eSpeak NG
    is missing, lacks the voice, or gives silence.
    """
    spoken, rate = _synthesize(text, voice)
    if not spoken.any():
        raise InputError(f"voice {voice.name} gives silence for {text!r}: give it words to speak")
    samples = soxr.resample(spoken.astype(np.float32), rate, SAMPLING_RATE)
    samples *= PEAK / np.abs(samples).max()
    audible = np.flatnonzero(np.abs(samples) > SILENCE)
    margin = round(MARGIN * SAMPLING_RATE)
    samples = samples[max(audible[0] - margin, 0) : audible[-1] + 1 + margin]
    return np.rint(samples * 32767).astype(np.int16)


def _synthesize(text: str, voice: Voice) -> tuple[np.ndarray, int]:
    """The samples of eSpeak, and their rate.

    eSpeak keeps the phase of its flutter and noise from one utterance to the next, and its API
    cannot reset it. So the library is loaded anew for each utterance (below a millisecond), and its
    random numbers are seeded.
    """
    library_path, data_path = _wheel()
    _check_variant(voice.name, data_path)
    pieces: list[bytes] = []

    def receive(samples: int | None, count: int, _events: int) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(receive)  # must outlive the synthesis: eSpeak holds no reference to it
    with _one_at_a_time:
        espeak = _load(library_path)
        try:
            rate = espeak.espeak_Initialize(_SYNCHRONOUS, 0, data_path.encode(), _DONT_EXIT)
            if rate <= 0:
                raise InputError(
                    f"eSpeak NG cannot read {data_path}: reinstall espeakng-loader, in a folder "
                    "with a shorter path"
                )
            espeak.espeak_SetSynthCallback(callback)
            if espeak.espeak_SetVoiceByName(voice.name.encode()) != 0:
                raise InputError(f"eSpeak NG has no voice {voice.name}: use one such as en-us+m1")
            espeak.espeak_SetParameter(_RATE, voice.rate, 0)
            espeak.espeak_SetParameter(_PITCH, voice.pitch, 0)
            espeak.espeak_SetParameter(_RANGE, voice.range, 0)
            espeak.espeak_ng_SetRandSeed(1)
            encoded = text.encode()
            espeak.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _UTF8, None, None)
            espeak.espeak_Terminate()
        finally:
            _ctypes.dlclose(espeak._handle)
    return np.frombuffer(b"".join(pieces), np.int16), rate


@cache
def _wheel() -> tuple[str, str]:
    """Paths of eSpeak's library and of its data."""
    try:
        import espeakng_loader

        return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"eSpeak NG is missing ({error}): install the espeakng-loader of envs/mini.yaml"
        ) from error


def _load(path: str) -> ctypes.CDLL:
    try:
        espeak = ctypes.CDLL(path)
    except OSError as error:
        raise InputError(
            f"eSpeak NG does not load ({error}): install the espeakng-loader wheel made for this "
            "machine (envs/mini.yaml)"
        ) from error
    espeak.espeak_Initialize.argtypes = (
        *(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int),
    )
    espeak.espeak_SetVoiceByName.argtypes = (ctypes.c_char_p,)
    espeak.espeak_SetSynthCallback.argtypes = (_Callback,)
    espeak.espeak_ng_SetRandSeed.argtypes = (ctypes.c_long,)
    espeak.espeak_Synth.argtypes = (
        *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
        *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
    )
    return espeak


@cache
def _check_variant(name: str, data_path: str) -> None:
    """Raise InputError for an unknown variant, which eSpeak would replace without a warning."""
    _, plus, variant = name.partition("+")
    if plus and not (Path(data_path) / "voices" / "!v" / variant).is_file():
        raise InputError(f"eSpeak NG has no variant {variant} ({name}): use one such as m1 or f2")
