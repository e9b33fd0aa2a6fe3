import hashlib
import logging
from pathlib import Path

import pytest

from slimspeech.data.licences import describe_corpora


def segments(corpus: str, *talks: str) -> list[dict]:
    return [{"corpus": corpus, "talk": talk} for talk in talks]


def test_the_archive_is_recognised_by_its_talks(tmp_path: Path, caplog):
    archive = tmp_path / "acl.zip"
    archive.write_bytes(b"zip")
    with caplog.at_level(logging.WARNING):
        (record,) = describe_corpora(archive, segments("acl6060", "2022.acl-long.268"))
    assert list(record) == [
        *("corpus", "role", "name", "licence", "citation", "url", "path", "sha256"),
    ]
    assert (record["corpus"], record["role"], record["licence"]) == ("acl6060", "gold", "CC BY 4.0")
    assert "Salesky" in record["citation"]
    assert record["sha256"] == hashlib.sha256(b"zip").hexdigest()
    assert caplog.text == ""


def test_the_mini_corpora_are_recognised():
    gold, other = describe_corpora(
        "results/corpora/mini/acl6060.zip",
        segments("acl6060", "mini.talk.101", "mini.talk.201"),
        out_of_domain="results/corpora/mini/covost2",
    )
    assert gold["licence"] == other["licence"] == "CC0 1.0"
    assert gold["citation"] is other["citation"] is None
    assert (other["corpus"], other["role"]) == ("covost2", "out_of_domain")


def test_covost_is_cited(tmp_path: Path):
    _, record = describe_corpora(
        tmp_path, segments("acl6060", "2022.acl-long.410"), out_of_domain=tmp_path / "covost2"
    )
    assert "CoVoST 2" in record["name"] and "Wang" in record["citation"]
    assert record["sha256"] is None


@pytest.mark.parametrize(
    "rows",
    [segments("tales", "a"), segments("acl6060", "2022.acl-long.268", "another")],
)
def test_an_unknown_licence_stays_empty(tmp_path: Path, rows, caplog):
    with caplog.at_level(logging.WARNING):
        (record,) = describe_corpora(tmp_path, rows)
    assert (record["licence"], record["citation"]) == (None, None)
    assert "its licence is unknown; set data/corpus" in caplog.text


def test_the_config_overrides_what_is_recognised(tmp_path: Path):
    configured = {"name": "Tales", "licence": "CC BY-SA 4.0"}
    (record,) = describe_corpora(tmp_path, segments("acl6060", "2022.acl-long.268"), configured)
    assert (record["name"], record["licence"], record["url"]) == ("Tales", "CC BY-SA 4.0", None)
