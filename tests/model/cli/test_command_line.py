"""The commands from end to end, with the model that memorised six clips."""

import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_release import CONFIG
from project import REPOSITORY
from tiny_model import Loud, lay_out

from slimspeech.cli import main
from slimspeech.data.audio import read_audio
from slimspeech.longform import segmentation
from slimspeech.quantization.pack import pack

SLICE = Path(
    os.environ.get("SLIMSPEECH_ACL_SLICE", REPOSITORY.parent / "shared" / "data" / "acl6060-slice")
)
TIMES = re.compile(r"^(\d\d):(\d\d):(\d\d),(\d{3}) --> (\d\d):(\d\d):(\d\d),(\d{3})$")


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    monkeypatch.setattr(segmentation, "SileroDetector", Loud)


@pytest.fixture(scope="module")
def results(trained, tmp_path_factory) -> Path:
    """An experiment with the trained model as teacher and, packed, as student."""
    root = tmp_path_factory.mktemp("results") / "results" / "tiny"
    config = {
        "experiment": "tiny",
        "pairs": ["en-de", "en-zh"],
        **{key: CONFIG[key] for key in ("prompt", "languages", "generation")},
        "base": {"model": "resources/mini/base"},
        "pruning": {"criterion": "chrf"},
        "students": {"A": {"layers_removed": 0, "criterion": None, "stages": []}},
        "evaluation": {"systems": ["teacher", "A"]},
    }
    shutil.copytree(trained[0], root / "en-de" / "teacher")
    pack(trained[0], root / "en-de" / "students" / "A" / "packed", "none")
    shutil.copytree(trained[0], root / "en-zh" / "teacher")
    (root / "config.json").write_text(json.dumps(config), encoding="utf-8")
    score = {"score": 55.512, "low": 53.0, "high": 58.0, "retention": 99.1}
    score |= {"retention_low": 97.0, "retention_high": 101.0, "p_value": 0.5}
    comparison = {
        "systems": {"A": {"chrf++": score}, "teacher": {"chrf++": score}},
        "signatures": {"chrf++": "nrefs:1"},
    }
    folder = root / "en-de" / "evaluation"
    folder.mkdir()
    (folder / "comparison.json").write_text(json.dumps(comparison), encoding="utf-8")
    return root


@pytest.fixture
def student(results) -> str:
    return str(results / "en-de" / "students" / "A")


@pytest.fixture
def german(rows) -> list[dict]:
    return [row for row in rows if row["pair"] == "en-de"]


@pytest.fixture
def talk(german, tmp_path) -> str:
    """The German clips with pauses of 3 s between them."""
    audio = lay_out([read_audio(row["audio"]) for row in german])
    soundfile.write(tmp_path / "talk.wav", audio, 16_000)
    return str(tmp_path / "talk.wav")


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def translate(capsys, model, *arguments):
    options = ("--device", "cpu", "--precision", "fp32", "--max-pause", "1", "--speech-pad", "0")
    return run(capsys, "translate", *arguments, "--model", model, *options)


def seconds(hours, minutes, seconds, milliseconds) -> float:
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds) + int(milliseconds) / 1000


def check_srt(text: str, length: float, width: int = 42) -> None:
    """Numbered from 1, times in order and within the talk, lines that fit."""
    end = 0.0
    for number, block in enumerate(text.removesuffix("\n\n").split("\n\n"), start=1):
        first, times, *lines = block.split("\n")
        assert int(first) == number
        match = TIMES.match(times)
        assert match, times
        start, stop = seconds(*match.groups()[:4]), seconds(*match.groups()[4:])
        assert end <= start < stop <= length + 0.001
        assert 1 <= len(lines) <= 2 and all(0 < len(line) <= width for line in lines)
        end = stop


def test_stdout_has_only_the_text_of_one_file(capsys, student, talk, german):
    code, out, err = translate(capsys, student, talk)
    assert (code, out) == (0, "".join(row["target"] + "\n" for row in german))
    assert err == ""


def test_subtitles(capsys, student, talk, german):
    code, out, _ = translate(capsys, student, talk, "--output_format=srt")
    check_srt(out, 15)
    text = " ".join(" ".join(block.split("\n")[2:]) for block in out.strip().split("\n\n"))
    assert code == 0 and text == " ".join(row["target"] for row in german)


def test_line_width_and_count_are_options(capsys, student, talk):
    code, out, _ = translate(
        capsys, student, talk, "-f", "srt", "--max_line_width", "18", "--max-line-count", "1"
    )
    check_srt(out, 15, width=18)
    assert code == 0 and out.count("-->") > 3


def test_data(capsys, student, talk, german):
    _, out, _ = translate(capsys, student, talk, "-f", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == [row["target"] for row in german]
    _, out, _ = translate(capsys, student, talk, "-f", "json")
    assert json.loads(out)["language"] == "de" and len(json.loads(out)["segments"]) == 3


def test_without_detection_a_clip_is_one_segment(capsys, student, german):
    for row in german:
        code, out, _ = translate(capsys, student, row["audio"], "--no-vad")
        assert (code, out) == (0, row["target"] + "\n")


def test_standard_input(capsys, student, talk, german, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(talk).read_bytes())))
    code, out, _ = translate(capsys, student, "-")
    assert code == 0 and out.splitlines() == [row["target"] for row in german]


def test_invalid_audio_on_standard_input(capsys, student, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"<html>")))
    code, out, err = translate(capsys, student, "-")
    assert (code, out) == (1, "")
    assert err.startswith("slimspeech: error: standard input: not audio")


def test_a_file_that_fails_does_not_stop_the_others(capsys, student, german, tmp_path, monkeypatch):
    """One file is missing, and one is damaged, which shows only while it is read."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, row in zip(("a.wav", "b.wav", "c.wav"), german, strict=True):
        shutil.copy(row["audio"], folder / name)
    damaged = tmp_path / "damaged.flac"
    soundfile.write(damaged, np.random.default_rng(0).normal(scale=0.1, size=80_000), 16_000)
    content = bytearray(damaged.read_bytes())
    content[90_000] ^= 0xFF
    damaged.write_bytes(content)
    out_folder = tmp_path / "out"
    code, out, err = translate(
        capsys, student, str(damaged), str(folder), "no.wav", "--no-vad", "-o", str(out_folder)
    )
    assert (code, out) == (1, "")
    lines = [line.removeprefix("slimspeech: error: ") for line in err.splitlines()]
    assert sorted(line.split(": ")[0] for line in lines) == sorted([str(damaged), "no.wav"])
    outputs = {path.name: path.read_text(encoding="utf-8") for path in out_folder.iterdir()}
    assert outputs == {
        name: row["target"] + "\n"
        for name, row in zip(("a.txt", "b.txt", "c.txt"), german, strict=True)
    }


def test_folders_keep_their_structure_and_existing_outputs_can_be_skipped(
    capsys, student, german, tmp_path, monkeypatch
):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    shutil.copy(german[0]["audio"], tmp_path / "in" / "deep" / "talk.v2.wav")
    options = ("--no-vad", "-f", "all", "-o", str(tmp_path / "out"))
    code, _, err = translate(capsys, student, str(tmp_path / "in"), *options, "-v")
    names = sorted(path.name for path in (tmp_path / "out" / "deep").iterdir())
    assert code == 0
    assert names == [f"talk.v2.{e}" for e in ("json", "jsonl", "srt", "tsv", "txt", "vtt")]
    assert f"slimspeech: wrote {tmp_path / 'out' / 'deep' / 'talk.v2.srt'}" in err
    monkeypatch.setattr("slimspeech.cli.translate.load_translator", None)  # not needed
    assert translate(capsys, student, str(tmp_path / "in"), *options, "--skip-existing")[0] == 0


def test_outputs_of_a_folder_go_to_the_current_folder(
    capsys, student, german, tmp_path, monkeypatch
):
    (tmp_path / "in").mkdir()
    shutil.copy(german[0]["audio"], tmp_path / "in" / "one.wav")
    monkeypatch.chdir(tmp_path)
    code, out, _ = translate(capsys, student, "in", "--no-vad")
    assert (code, out) == (0, "")
    assert (tmp_path / "one.txt").read_text(encoding="utf-8") == german[0]["target"] + "\n"


def test_audio_without_speech_is_not_an_error(capsys, student, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    path = str(tmp_path / "silence.wav")
    code, out, err = translate(capsys, student, path, "-f", "vtt")
    assert (code, out) == (0, "WEBVTT\n\n")
    assert err.startswith(f"slimspeech: warning: {path}: no speech") and err.count("\n") == 1
    assert translate(capsys, student, path, "-q")[2] == ""


def test_info_of_a_student(capsys, student):
    code, out, _ = run(capsys, "info", student)
    assert code == 0
    lines = " ".join(out.split())
    for expected in (
        "system A of experiment tiny",
        "translates English to German (en-de)",
        "layers 4 in the decoder",
        "quantised none",
        "| A | 55.5 [53.0, 58.0] | 99.1 [97.0, 101.0] |",
        "base model mini base model of slimspeech",
    ):
        assert expected in lines


def test_info_as_json_measures_the_weights(capsys, student, results):
    code, out, _ = run(capsys, "info", student, "--json")
    model = json.loads(out)
    assert code == 0
    assert (model["system"], model["pair"], model["facts_from"]) == ("A", "en-de", "results")
    files = (results / "en-de" / "students" / "A" / "packed").glob("*.safetensors")
    assert model["size"]["bytes"] == sum(file.stat().st_size for file in files)
    assert model["size"]["weights"] == sum(model["size"]["weights_by_part"].values())


def test_info_of_a_model_of_unknown_origin(capsys, trained):
    code, out, _ = run(capsys, "info", trained[0])
    assert code == 0 and "translates  unknown; give --to" in out and "origin unknown" in out


def compare(capsys, *arguments):
    options = ("--device", "cpu", "--precision", "fp32", "--max-pause", "1", "--speech-pad", "0")
    return run(capsys, "compare", *arguments, *options)


def test_compare_shows_the_translations_of_all_models(capsys, student, results, talk, german):
    teacher = str(results / "en-de" / "teacher")
    code, out, _ = compare(capsys, student, teacher, talk)
    assert code == 0
    blocks = out.split("\n\n")
    for block, row in zip(blocks, german, strict=False):
        _, first, second = block.split("\n")
        assert (first, second) == (f"A        {row['target']}", f"teacher  {row['target']}")
    table = [line.split() for line in blocks[-1].splitlines() if line.startswith("|")]
    assert [line[1] for line in table] == ["model", "-------", "A", "teacher"]


def test_compare_scores_outputs_divided_at_the_references(
    capsys, student, results, talk, german, tmp_path
):
    """Equal texts have a chrF of 100, with any division into lines; different texts less."""
    texts = [row["target"] for row in german]
    scores = []
    for lines in (texts, [" ".join(texts)], [*texts[:2], "Ganz etwas anderes."]):
        reference = tmp_path / "reference.txt"
        reference.write_text("\n".join(lines) + "\n", encoding="utf-8")
        code, out, err = compare(capsys, student, talk, "--reference", str(reference), "-f", "json")
        [outcome] = json.loads(out)
        assert code == 0 and err == ""
        assert [utterance["text"] for utterance in outcome["utterances"]] == texts
        assert outcome["seconds"] > 0 and outcome["pair"] == "en-de"
        scores.append(outcome["chrf"])
    assert scores[:2] == [pytest.approx(100), pytest.approx(100)] and scores[2] < 90


def test_compare_as_markdown(capsys, student, talk, german):
    _, out, _ = compare(capsys, student, talk, "--format", "markdown")
    assert out.splitlines()[:2] == ["| time | A |", "| --- | --- |"]
    assert f" | {german[0]['target']} |" in out.splitlines()[2]


def test_a_model_without_languages_uses_those_of_the_others(capsys, student, trained, german):
    code, out, _ = compare(capsys, student, trained[0], german[0]["audio"], "--no-vad")
    assert code == 0 and out.count(german[0]["target"]) == 2


def test_models_of_different_pairs_are_not_compared(capsys, student, results, talk):
    code, out, err = compare(capsys, student, str(results / "en-zh" / "teacher"), talk)
    assert (code, out) == (2, "")
    assert "en-de and en-zh" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"\n \n", "contains no text"), (b"\xff\xfe", "not UTF-8")],
)
def test_invalid_references_are_refused(content, message, capsys, student, talk, tmp_path):
    path = tmp_path / "reference.txt"
    if content is not None:
        path.write_bytes(content)
    code, _, err = compare(capsys, student, talk, "--reference", str(path))
    assert code == 2 and str(path) in err and message in err


@pytest.mark.skipif(not SLICE.is_dir(), reason="set SLIMSPEECH_ACL_SLICE to a part of ACL 60/60")
def test_a_real_talk_becomes_subtitles(capsys, student, tmp_path, monkeypatch):
    """Its 11 segments joined, 82 s; the tiny model's text makes no sense."""
    monkeypatch.undo()  # use Silero's detector
    clips = sorted(
        next(SLICE.rglob("segmented_wavs/gold")).glob("*.wav"),
        key=lambda path: int(path.stem.split("_")[1]),
    )
    audio = np.concatenate([read_audio(path) for path in clips])
    soundfile.write(tmp_path / "talk.wav", audio, 16_000)
    code, out, err = translate(capsys, student, str(tmp_path / "talk.wav"), "-f", "srt")
    length = len(audio) / 16_000
    assert (code, err) == (0, "") and 80 < length < 83
    check_srt(out, length)
    assert out.count("-->") >= length / 6  # no segment is longer than 6 s
