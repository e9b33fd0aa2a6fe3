"""The command line before it needs a model: options, inputs, errors, logging."""

import errno
import io
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import slimspeech
from slimspeech.cli import main
from slimspeech.cli.inputs import find_talks
from slimspeech.data.audio import read_blocks
from slimspeech.errors import InputError
from slimspeech.longform.subtitles import Utterance

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
        (["translate", "", "-m", "m"], "an empty name"),
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


class Echo:
    """Translates a file into the number of its samples."""

    pair = "en-de"

    def translate(self, path, *_):
        samples = sum(map(len, read_blocks(path)))
        yield Utterance(0.0, samples / 16_000, f"{samples} samples 你")


@pytest.fixture
def echo(monkeypatch, model, tmp_path) -> str:
    monkeypatch.setattr("slimspeech.cli.translate.load_translator", lambda *_: Echo())
    monkeypatch.chdir(tmp_path)
    return model


def test_what_a_pipe_and_a_named_pipe_hold_is_translated(wav, echo, tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    code = (
        "import sys\nfrom types import SimpleNamespace as N\nfrom slimspeech import cli\n"
        "from slimspeech.longform.subtitles import Utterance as U\n"
        "from slimspeech.data.audio import read_blocks\nimport slimspeech.cli.translate as t\n"
        "say = lambda self, path, *_: iter([U(0, 1, str(sum(map(len, read_blocks(path)))))])\n"
        "t.load_translator = lambda *_: type('E', (), dict(pair='en-de', translate=say))()\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    shell = (
        f'cat {wav} > pipe.wav & {sys.executable} -c "$CODE" translate pipe.wav -m m && '
        f'{sys.executable} -c "$CODE" translate <(cat {wav}) -m m'
    )
    process = subprocess.run(
        ["bash", "-c", shell],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(LIBRARY), "CODE": code},
        check=False,
    )
    assert (process.returncode, process.stdout) == (0, "1600\n1600\n"), process.stderr


def test_names_that_are_not_utf8_or_of_255_bytes_are_translated(wav, echo, tmp_path, capsys):
    folder = tmp_path / "talks"
    folder.mkdir()
    names = [
        b"caf\xe9.wav",
        b"a" * 247 + b".wav",
        "é".encode() * 125 + b".wav",
        b"b" * 251 + b".mp3",
    ]
    for name in names:
        shutil.copy(wav, os.fsencode(folder) + b"/" + name)
    code = main(["translate", str(folder), "--model", echo, "-f", "json", "-o", "out"])
    error = capsys.readouterr().err
    written = sorted(os.listdir(b"out"))
    assert written == sorted(
        [b"caf\xe9.json", b"a" * 247 + b".json", "é".encode() * 125 + b".json"]
    )
    assert code == 1
    [line] = error.splitlines()
    assert "bbb.mp3" in line and "cannot be written (File name too long)" in line


def test_what_cannot_be_read_or_written_is_one_sentence_and_the_others_are_done(
    wav, echo, tmp_path, capsys
):
    folder = tmp_path / "talks"
    (folder / "c.txt").mkdir(parents=True)
    for name in ("a.wav", "b.wav", "c.wav", "e.wav"):
        shutil.copy(wav, folder / name)
    os.truncate(folder / "b.wav", 0)
    code = main(["translate", str(folder), str(tmp_path / "d"), "--model", echo, "-o", "talks"])
    error = capsys.readouterr().err.splitlines()
    assert code == 1 and len(error) == 3
    assert "b.wav: the file has 0 bytes" in error[0] and "d: no such audio file" in error[1]
    assert "c.wav: talks/c.txt cannot be written" in error[2]
    assert sorted(path.name for path in folder.glob("*.txt")) == ["a.txt", "c.txt", "e.txt"]
    assert not list(folder.glob(".*"))


def test_an_unreadable_folder_is_one_sentence(wav, tmp_path, monkeypatch, capsys, echo):
    """As root every folder can be read, so os.scandir refuses one."""
    (tmp_path / "talks" / "locked").mkdir(parents=True)
    shutil.copy(wav, tmp_path / "talks")
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    code = main(["translate", "talks", "--model", echo, "-o", "out"])
    error = capsys.readouterr().err
    assert code == 1 and "talks/locked: cannot be read (Permission denied)" in error
    assert os.listdir("out") == ["talk.txt"]


def test_litter_and_other_media_in_a_folder_are_left_out_and_told(wav, tmp_path, caplog):
    folder = tmp_path / "talks"
    (folder / "__MACOSX").mkdir(parents=True)
    for name in ("a.wav", "._a.wav", "__MACOSX/._a.wav", "b.m4a", "c.mp4", "notes.txt", "a.srt"):
        (folder / name).touch()
    [talk] = find_talks([str(folder)])
    assert talk.path == folder / "a.wav"
    assert "left out" in caplog.text
    assert "._a.wav, __MACOSX/._a.wav, b.m4a and 1 more" in caplog.text
    assert "notes" not in caplog.text


def test_links_in_a_folder_lead_to_their_audio_once(wav, tmp_path, echo, capsys):
    for folder in ("talks/day", "disk"):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(wav, tmp_path / folder / "a.wav")
    for link, target in {
        "file.wav": "../disk/a.wav",
        "folder": "../disk",
        "day/above": "..",
        "again": "../disk",
        "gone.wav": ".git/annex/objects/x.wav",
    }.items():
        (tmp_path / "talks" / link).symlink_to(target)
    os.mkfifo(tmp_path / "talks" / "pipe.wav")
    assert main(["translate", "talks", "--model", echo, "-o", "out"]) == 1
    written = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.txt"))
    assert written == ["again/a.txt", "day/a.txt", "file.txt"]
    left_out, gone = capsys.readouterr().err.splitlines()
    assert "left out" in left_out and "pipe.wav" in left_out
    assert "talks/gone.wav: is a link to .git/annex/objects/x.wav, which does not exist" in gone


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_a_terminal_that_lacks_characters_gets_question_marks(encoding, wav, echo, monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    screen.isatty = lambda: True
    messages = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", messages)
    assert main(["translate", wav, "--model", echo]) == 0
    screen.flush()
    expected = "1600 samples 你\n" if encoding == "utf-8" else "1600 samples ?\n"
    assert screen.buffer.getvalue().decode(encoding) == expected
    assert ("PYTHONIOENCODING" in messages.getvalue()) == (encoding != "utf-8")


def test_a_file_is_utf8_whatever_the_locale(wav, echo, monkeypatch):
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", file)
    assert main(["translate", wav, "--model", echo]) == 0
    file.flush()
    assert file.buffer.getvalue().decode("utf-8") == "1600 samples 你\n"


def test_a_name_that_is_no_text_is_printed(monkeypatch, capsys):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr("slimspeech.cli.info.run", lambda _: print("caf\udce9") or 0)
    assert main(["info", "model"]) == 0
    screen.flush()
    assert screen.buffer.getvalue() == b"caf\\udce9\n"


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


def test_a_folder_without_audio_does_not_stop_the_others(wav, echo, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    os.chdir("empty")
    arguments = ["translate", ".", "", wav, "--model", echo, "-o", "../out", "--skip-existing"]
    assert main(arguments) == 1
    folder, name = capsys.readouterr().err.splitlines()
    assert ".: no audio in this folder" in folder and "an empty name" in name
    assert os.listdir("../out") == ["talk.txt"]


def test_a_closed_standard_input_is_one_sentence(echo, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    code, err = fails(capsys, "translate", "-", "--model", echo)
    assert code == 1 and "standard input is closed" in err


def test_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(InputError, match="no audio in this folder"):
        find_talks([str(tmp_path)])
