import hashlib

import pytest

from slimspeech.checksums import fingerprint, fingerprint_rows
from slimspeech.errors import InputError

FILES = {"config.json": b"{}", "model-1.safetensors": b"one", "model-2.safetensors": b"two"}


def model(directory, **changed):
    directory.mkdir()
    for name, content in (FILES | changed).items():
        (directory / name).write_bytes(content)
    return directory


def test_a_model_is_known_by_the_list_of_its_files_digests(tmp_path):
    listed = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in FILES.items()
    )
    assert fingerprint(model(tmp_path / "a")) == hashlib.sha256(listed.encode()).hexdigest()


def test_a_copy_is_the_same_model_and_its_processor_does_not_count(tmp_path):
    copy = model(tmp_path / "b", **{"tokenizer.json": b"{}"})
    assert fingerprint(model(tmp_path / "a")) == fingerprint(str(copy))


@pytest.mark.parametrize(
    "changed",
    [
        {"config.json": b"{ }"},
        {"model-2.safetensors": b"twp"},
        {"model-1.safetensors": b"two", "model-2.safetensors": b"one"},
        {"model-3.safetensors": b""},
    ],
)
def test_other_weights_or_config_are_another_model(changed, tmp_path):
    assert fingerprint(model(tmp_path / "a")) != fingerprint(model(tmp_path / "b", **changed))


@pytest.mark.parametrize("gone", [["config.json"], ["model-1.safetensors", "model-2.safetensors"]])
def test_half_a_model(gone, tmp_path):
    directory = model(tmp_path / "a")
    for name in gone:
        (directory / name).unlink()
    with pytest.raises(InputError, match="no model there"):
        fingerprint(directory)


def test_rows():
    rows = [{"id": "a", "target": "Grüße"}, {"id": "b", "target": ""}]
    text = '{"id": "a", "target": "Grüße"}\n{"id": "b", "target": ""}\n'
    assert fingerprint_rows(rows) == hashlib.sha256(text.encode()).hexdigest()
    assert fingerprint_rows([dict(reversed(row.items())) for row in rows]) == fingerprint_rows(rows)
    assert fingerprint_rows(rows[::-1]) != fingerprint_rows(rows) != fingerprint_rows(rows[:1])
