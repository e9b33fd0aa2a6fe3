from slimspeech.logs import last_error

CRITICAL = "2026-11-27 17:00:00,000 CRITICAL root: "


def test_the_error_of_a_log_is_its_sentence_or_the_end_of_its_traceback():
    assert last_error("Loading\n" + CRITICAL + "a.wav: no such file\n") == "a.wav: no such file"
    traceback = "failed\nTraceback (most recent call last):\n  …\nOSError: disk full\n"
    assert last_error(CRITICAL + traceback) == "OSError: disk full"
    assert last_error(" 12%|#  | 3/25\r 16%|#  | 4/25") is None
