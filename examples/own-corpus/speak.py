"""Make the example corpus: one recording per talk, and the table of their segments.

    PYTHONPATH=workflow/scripts .venv/bin/python examples/own-corpus/speak.py

You do not need this script for your own corpus: you have recordings, and write only the table.
"""

from pathlib import Path

import numpy as np
import soundfile

from slimspeech_mini.speech import SAMPLING_RATE, Voice, speak

TALKS = {
    ("train", "kitchen", "en-us+m2"): [
        ("The water is cold.", "La akvo estas malvarma."),
        ("I cook soup with potatoes.", "Mi kuiras supon kun terpomoj."),
        ("Please give me a spoon.", "Bonvolu doni al mi kuleron."),
        ("The bread is fresh today.", "La pano estas freŝa hodiaŭ."),
    ],
    ("train", "garden", "en+f2"): [
        ("The tree has red apples.", "La arbo havas ruĝajn pomojn."),
        ("A small bird sings.", "Malgranda birdo kantas."),
        ("We drink tea in the garden.", "Ni trinkas teon en la ĝardeno."),
        ("The sun is warm.", "La suno estas varma."),
    ],
    ("dev", "walk", "en-gb-scotland+m4"): [
        ("The road is long.", "La vojo estas longa."),
        ("My dog runs to the river.", "Mia hundo kuras al la rivero."),
    ],
    ("test", "evening", "en-us+f3"): [
        ("The soup is warm.", "La supo estas varma."),
        ("We sing in the evening.", "Ni kantas vespere."),
        ("Good night, my friend.", "Bonan nokton, mia amiko."),
    ],
}
HERE = Path(__file__).parent
PAUSE = np.zeros(SAMPLING_RATE // 2, np.int16)

lines = ["audio\tstart\tend\tsource\ttarget\tsplit"]
for (split, talk, voice), sentences in TALKS.items():
    pieces = [PAUSE]
    for source, target in sentences:
        spoken = speak(source, Voice(voice, rate=165, pitch=50, range=50))
        start = sum(map(len, pieces)) / SAMPLING_RATE
        end = start + len(spoken) / SAMPLING_RATE
        lines.append(f"audio/{talk}.ogg\t{start:.3f}\t{end:.3f}\t{source}\t{target}\t{split}")
        pieces += [spoken, PAUSE]
    soundfile.write(HERE / "audio" / f"{talk}.ogg", np.concatenate(pieces), SAMPLING_RATE)
(HERE / "corpus.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
