import subprocess
import sys
from pathlib import Path

import slimspeech

LIBRARY = Path(slimspeech.__file__).parents[1]


def run(tmp_path, lines):
    """A script that logs to rule.log: its exit status, its stderr and the log."""
    log = tmp_path / "rule.log"
    code = f"from slimspeech.logs import log_to\nlog_to({str(log)!r})\n{lines}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(LIBRARY), "HF_TOKEN": "hf_canary", "MY_WANDB_API_KEY": "canary-key"},
        check=False,
    )
    return done.returncode, done.stderr, log.read_text(encoding="utf-8")


def test_records_and_warnings_are_in_the_log_and_on_stderr(tmp_path):
    code, shown, log = run(
        tmp_path,
        "import logging, warnings\n"
        "logging.getLogger('slimspeech.x').info('42 rows')\n"
        "logging.getLogger('slimspeech.x').debug('noise')\n"
        "warnings.warn('old')",
    )
    assert code == 0
    for text in (shown, log):
        assert "INFO slimspeech.x: 42 rows" in text and "UserWarning: old" in text
        assert "noise" not in text


def test_what_the_user_can_mend_is_one_line(tmp_path):
    code, shown, log = run(
        tmp_path,
        "from slimspeech.errors import InputError\nraise InputError('a.wav: no such file')",
    )
    assert code == 1
    for text in (shown, log):
        assert text.count("\n") == 1 and text.endswith("a.wav: no such file\n")


def test_any_other_error_has_its_traceback(tmp_path):
    code, shown, log = run(tmp_path, "1 / 0")
    assert code == 1
    for text in (shown, log):
        assert "Traceback" in text and "ZeroDivisionError: division by zero" in text


def test_log_of_the_last_run_is_replaced(tmp_path):
    run(tmp_path, "1 / 0")
    assert "ZeroDivisionError" not in run(tmp_path, "")[2]


def test_secrets_are_in_no_record_and_in_no_traceback(tmp_path):
    code, shown, log = run(
        tmp_path,
        "import logging\n"
        "logging.warning('with %s and canary-key', 'hf_canary')\n"
        "raise OSError('no answer from http://me:canary@127.0.0.1:9/api')",
    )
    assert code == 1
    for text in (shown, log):
        assert "with (HF_TOKEN) and (MY_WANDB_API_KEY)" in text
        assert "OSError: no answer from http://127.0.0.1:9/api" in text
        assert "canary" not in text.replace(f"{tmp_path}", "")
