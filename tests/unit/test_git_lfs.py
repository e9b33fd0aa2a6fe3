"""What stands in place of a large file that git did not fetch, wherever one is opened."""

from pathlib import Path

import pytest
from git_lfs_pointer import POINTER

from slimspeech.artifacts import read_text
from slimspeech.data import acl6060_hub
from slimspeech.data.archives import unpacked
from slimspeech.data.audio import read_audio
from slimspeech.data.covost import sample_covost
from slimspeech.data.raw_segments import BadSegments
from slimspeech.data.segment_list import read_entries
from slimspeech.data.table import read_segments
from slimspeech.errors import InputError
from slimspeech.git_lfs import require_content
from slimspeech.models.validation.directory import check_directory


def open_archive(path: Path) -> None:
    with unpacked(path, bool, path.parent / "scratch"):
        pass


OPENED = {
    "talk.txt": read_text,
    "segments.yaml": lambda path: read_entries(path, str(path)),
    "clip.wav": read_audio,
    "any.bin": require_content,
    "acl.zip": open_archive,
    "corpus.tsv": lambda path: list(read_segments(path, ["en", "de"], BadSegments(drop=True))),
    "dev-00000-of-00001.parquet": lambda path: list(
        acl6060_hub.read_segments(
            path.parent, "copy", path.parent / "scratch", ["en", "de"], BadSegments(drop=True)
        )
    ),
    "covost_v2.en_de.train.tsv": lambda path: sample_covost(path.parent, "en-de", 1, 0, 0.1, 30),
    "model.safetensors": lambda path: check_directory(path.parent),
    "tokenizer.json": lambda path: check_directory(path.parent),
}


@pytest.mark.parametrize("name", OPENED)
def test_a_pointer_is_told_with_the_fix(tmp_path, name):
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_audio"}')
    (tmp_path / name).write_text(POINTER)
    with pytest.raises(InputError, match=f"{name}: a pointer of Git LFS .*`git lfs pull`"):
        OPENED[name](tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"version 2", POINTER.encode() + bytes(1024)])
def test_other_files_are_no_pointers(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    require_content(tmp_path / "a")
    require_content(tmp_path)
    require_content(tmp_path / "missing")
