import pytest

from slimspeech.errors import InputError
from slimspeech.languages import NAMES, WRITTEN_WITHOUT_SPACES, name, target_code, title

# As the ACL 60/60 archive names its languages (English and ten targets).
ACL_6060 = ["en", "ar", "de", "fa", "fr", "ja", "nl", "pt", "ru", "tr", "zh"]


def test_all_of_acl_6060_have_a_name():
    assert set(ACL_6060) <= NAMES.keys()
    assert (name("de"), name("zh"), name("fa")) == ("German", "Chinese", "Persian")


def test_names_of_the_user_come_first():
    assert name("gsw", {"gsw": "Swiss German"}) == "Swiss German"
    assert name("zh", {"zh": "Mandarin Chinese"}) == "Mandarin Chinese"
    assert name("zh") == "Chinese"


def test_unknown_language_says_what_to_add():
    with pytest.raises(InputError, match=r"'gsw'; add `languages: \{\"gsw\": "):
        name("gsw", {"xx": "Other"})


@pytest.mark.parametrize("pair, code", [("en-de", "de"), ("en-zh", "zh"), ("en-pt-BR", "pt-BR")])
def test_target_of_a_pair(pair, code):
    assert target_code(pair) == code


def test_titles_of_pairs():
    assert title("en-zh") == "English to Chinese"
    assert title("en-gsw", {"gsw": "Swiss German"}) == "English to Swiss German"
    assert title("tlh-de") == "tlh to German"


def test_scripts_without_spaces():
    assert {"zh", "ja"} <= WRITTEN_WITHOUT_SPACES
    assert not {"ko", "de", "ar"} & WRITTEN_WITHOUT_SPACES  # Korean has spaces
