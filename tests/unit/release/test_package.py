import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from made_release import made_facts, made_packed, made_release

from slimspeech.errors import InputError
from slimspeech.release.package import write_release


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return made_packed(tmp_path)


def test_a_release_is_links_to_the_packed_files(packed):
    release = made_release(packed)
    names = {path.name for path in release.iterdir()}
    files = {"config.json", "model.safetensors", "tokenizer.json", "processor_config.json"}
    assert names == files | {"README.md", "slimspeech.json", "sha256.txt"}
    assert all((release / name).samefile(packed / name) for name in files)
    subprocess.run(["sha256sum", "-c", "--strict", "sha256.txt"], cwd=release, check=True)
    listed = (release / "sha256.txt").read_text(encoding="utf-8").splitlines()
    assert {line.split("  ")[1] for line in listed} == files | {"slimspeech.json"}


def test_files_are_copied_where_links_are_not_possible(packed, monkeypatch):
    def link(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    release = made_release(packed)
    copy, original = release / "model.safetensors", packed / "model.safetensors"
    assert copy.read_bytes() == original.read_bytes()
    assert not copy.samefile(original)


def test_a_second_release_leaves_the_packed_student_unchanged(packed):
    before = hashlib.sha256((packed / "model.safetensors").read_bytes()).hexdigest()
    made_release(packed)
    release = made_release(packed)
    for path in release.iterdir():
        path.unlink()
    assert hashlib.sha256((packed / "model.safetensors").read_bytes()).hexdigest() == before


def test_a_missing_file_that_has_a_hash(packed):
    hashes = f"{'0' * 64}  {packed}/lost.json\n"
    with pytest.raises(InputError, match="lost.json: has a hash but does not exist"):
        write_release(packed, packed.parent / "release", made_facts(packed), "", hashes)
    assert not (packed.parent / "release").exists()
