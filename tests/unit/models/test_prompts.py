import pytest

from slimspeech.errors import InputError
from slimspeech.models.prompts import Prompt

CONFIG = {
    "system": "You are a professional translator.",
    "user": "Translate the {source} speech into {target}:",
}


def test_the_published_request():
    prompt = Prompt.of(CONFIG, {})
    assert prompt.system == "You are a professional translator."
    assert prompt.request("en-de") == "Translate the English speech into German:"
    assert prompt.request("en-zh") == "Translate the English speech into Chinese:"


def test_request_may_leave_out_the_source():
    prompt = Prompt.of({**CONFIG, "user": "Into {target}, only {target}!"}, {})
    assert prompt.request("en-de") == "Into German, only German!"


def test_names_from_config():
    prompt = Prompt.of(CONFIG, {"gsw": "Swiss German"})
    assert prompt.request("en-gsw") == "Translate the English speech into Swiss German:"


def test_unknown_language():
    with pytest.raises(InputError, match="no English name for the language 'gsw'"):
        Prompt.of(CONFIG, {}).request("en-gsw")


def test_braces_are_written_twice():
    prompt = Prompt.of({**CONFIG, "user": 'As {{"text": "..."}} in {target}:'}, {})
    assert prompt.request("en-de") == 'As {"text": "..."} in German:'


@pytest.mark.parametrize("braces", ['{"text": "..."}', "{}", "{0}", "{", "}", "{target.real}"])
def test_other_braces_are_told(braces):
    """As in slimspeech.json of a release that was edited; the config's are checked before."""
    with pytest.raises(InputError, match="has other braces than .*twice, {{ or }}"):
        Prompt.of({**CONFIG, "user": f"{braces} {{target}}"}, {}).request("en-de")
