"""The command line before it needs a model: options, inputs, errors, logging."""

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import slimspeech
from slimspeech.cli import main
from slimspeech.cli.inputs import find_talks
from slimspeech.errors import InputError

LIBRARY = Path(slimspeech.__file__).parents[1]


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(LIBRARY)},
        check=False,
    )


@pytest.fixture
def wav(tmp_path) -> str:
    path = tmp_path / "talk.wav"
    soundfile.write(path, np.zeros(1600), 16_000)
    return str(path)


@pytest.fixture
def model(tmp_path) -> str:
    folder = tmp_path / "results" / "mine" / "en-de" / "teacher"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").touch()
    (tmp_path / "results" / "mine" / "config.json").write_text(
        '{"experiment": "mine", "pairs": ["en-de"], "prompt": {"system": "", "user": "{target}"}, '
        '"languages": {}, "generation": {"max_new_tokens": 9}, "base": {"model": "base"}, '
        '"pruning": {"criterion": "chrf"}, "students": {}, "evaluation": {"systems": []}}'
    )
    return str(folder)


@pytest.mark.parametrize("command", [[], ["translate"], ["info"], ["compare"]])
def test_help_imports_nothing_slow(command):
    code = (
        "import sys; from slimspeech.cli import main\n"
        f"status = main({[*command, '--help']!r})\n"
        "slow = {'torch', 'transformers', 'soundfile', 'sacrebleu', 'fastapi'} & set(sys.modules)\n"
        "sys.exit(f'{status} {slow}' if status or slow else 0)"
    )
    process = python("-c", code)
    assert process.returncode == 0, process.stderr
    assert "usage: slimspeech" in process.stdout


def test_the_package_runs_as_a_module():
    process = python("-m", "slimspeech", "--version")
    assert process.stdout == f"slimspeech {slimspeech.__version__}\n"


def fails(capsys, *arguments: str) -> tuple[int, str]:
    """The exit code and stderr; stdout must be empty."""
    code = main(arguments)
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return code, err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["translate"], "required: AUDIO, --model"),
        (["translate", "a.wav", "-m", "m", "-f", "docx"], "invalid choice: 'docx'"),
        (["translate", "a.wav", "-m", "m", "--batch-size", "0"], "0 is not above 0"),
        (
            ["translate", "a.wav", "-m", "m", "--batch-size", "many"],
            "many is neither a number nor auto",
        ),
        (["translate", "a.wav", "-m", "m", "--threads", "99999999999"], "is above 2147483647"),
        (["translate", "a.wav", "-m", "m", "--max-line-width", "inf"], "invalid int value"),
        (["serve", "m", "--max-upload-mb", "inf"], "inf is above 2147483647"),
        (["serve", "m", "--max-minutes", "nan"], "nan is not above 0"),
        (["translate", "a.wav", "-m", "m", "--min-silence", "-1"], "min_silence -1"),
        (["translate", "a.wav", "-m", "m", "--max-pause", "nan"], "max_pause nan"),
        (["translate", "a.wav", "-m", "m", "--speech-pad", "inf"], "no room for speech"),
        (["translate", "a.wav", "-m", "m", "--vad_threshold", "3"], "VAD threshold 3"),
        (["translate", "a.wav", "-m", "m", "-q", "-v"], "not allowed with"),
        (["translate", "a.wav", "-m", "m", "-o", "talk.srt"], "must be a folder"),
        (["translate", "-", "-", "-m", "m"], "only once"),
        (["info", "nowhere"], "nowhere: no such directory"),
        (["info", "n" * 300], "nnn: no such directory"),
        (["info", __file__], "test_command_line.py: no model there"),
        (["compare", "model", "a.wav"], "model: no such directory"),
    ],
)
def test_a_wrong_option_is_reported_in_one_line(arguments, message, capsys):
    code, err = fails(capsys, *arguments)
    assert code == 2
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "zh"], "made for en-de, not for zh"),
        (["--from", "fr"], "made for en-de, not for fr"),
    ],
)
def test_a_language_that_the_model_does_not_translate(options, message, wav, model, capsys):
    code, err = fails(capsys, "translate", wav, "--model", model, *options)
    assert code == 2 and message in err and err.count("\n") == 1


def test_a_directory_without_a_model(wav, tmp_path, capsys):
    code, err = fails(capsys, "translate", wav, "--model", str(tmp_path))
    assert code == 2 and "no model there" in err and err.count("\n") == 1


def test_all_unreadable_files_are_named_before_a_model_is_loaded(tmp_path, model, capsys):
    (tmp_path / "text.wav").write_text("no audio")
    code, err = fails(
        capsys, "translate", str(tmp_path / "text.wav"), str(tmp_path / "no.wav"), "-m", model
    )
    assert code == 1
    first, second = err.splitlines()
    assert first.startswith(f"slimspeech: error: {tmp_path / 'text.wav'}: not audio that soundfile")
    assert second.startswith(f"slimspeech: error: {tmp_path / 'no.wav'}: no such audio file")


def test_an_error_of_the_system_is_one_line(wav, model, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/talk.srt")

    monkeypatch.setattr("slimspeech.cli.translate.load_translator", full)
    code, err = fails(capsys, "translate", wav, "--model", model)
    assert (code, err) == (1, "slimspeech: error: out/talk.srt: No space left on device\n")


def test_logging_is_restored(wav, model, capsys, tmp_path):
    logger = logging.getLogger("slimspeech")
    before = (list(logger.handlers), logger.level, logger.propagate)
    main(["translate", str(tmp_path / "no.wav"), "--model", model, "-v"])
    assert (list(logger.handlers), logger.level, logger.propagate) == before


def test_ctrl_c_ends_a_command_without_a_traceback(wav, model, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("slimspeech.cli.translate.load_translator", interrupted)
    code, err = fails(capsys, "translate", wav, "--model", model)
    assert (code, err) == (130, "slimspeech: interrupted\n")


def outputs(talks):
    return [talk.output.as_posix() for talk in talks]


def test_folders_are_searched_at_any_depth(tmp_path):
    for name in ("b.wav", "a.FLAC", "deep/er/c.mp3", "notes.txt", ".hidden.wav.partial"):
        path = tmp_path / "talks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    talks = find_talks([str(tmp_path / "talks"), "single.ogg", "-"])
    assert outputs(talks) == ["a", "b", "deep/er/c", "single", "stdin"]
    assert talks[-1].name == "standard input"


def test_equal_names_keep_their_suffix(tmp_path):
    assert outputs(find_talks(["x/a.wav", "x/a.mp3", "b.1.wav"])) == ["a.wav", "a.mp3", "b.1"]


def test_files_that_would_overwrite_each_other_are_refused():
    with pytest.raises(InputError, match="x/a.wav: .*same output"):
        find_talks(["x/a.wav", "y/a.wav"])


def test_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(InputError, match="no audio in this folder"):
        find_talks([str(tmp_path)])
