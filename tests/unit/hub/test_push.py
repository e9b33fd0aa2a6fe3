"""Releases pushed to a small server that answers as the Hugging Face Hub does."""

import hashlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_hub import COMMIT, TOKEN, serve_store
from git_lfs_pointer import POINTER
from huggingface_hub import constants
from made_release import CONFIG, made_facts, made_packed, made_release

from slimspeech.errors import InputError
from slimspeech.hub.push import plan, push, read_token

REPOSITORY = "somebody/student-b"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    packed = made_packed(tmp_path)
    for name in ("tokenizer_config.json", "generation_config.json"):
        (packed / name).write_text("{}")
    release = made_release(packed)
    (release / ".snakemake_timestamp").touch()
    return release


@pytest.fixture
def hub(monkeypatch) -> Iterator[SimpleNamespace]:
    # A small server cannot replace Xet, which is compiled code.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with serve_store() as (url, store):
        yield SimpleNamespace(url=url, store=store)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}


def test_all_files_arrive_unchanged(hub, release):
    published = push(plan(release, REPOSITORY), TOKEN, hub.url)
    assert (published.url, published.commit) == (f"{hub.url}/{REPOSITORY}", COMMIT)
    arrived = dict(hub.store.files[f"{REPOSITORY}@main"])
    del arrived[".gitattributes"]
    assert arrived == contents(release)
    assert hub.store.large == ["model.safetensors"]
    assert hub.store.private == {REPOSITORY: False}
    assert published.removed == []


def test_a_private_repository_and_a_branch(hub, release):
    push(plan(release, REPOSITORY, revision="v2/try", private=True), TOKEN, hub.url)
    assert hub.store.private == {REPOSITORY: True}
    assert set(hub.store.files[f"{REPOSITORY}@main"]) == {".gitattributes"}
    assert contents(release).items() <= hub.store.files[f"{REPOSITORY}@v2/try"].items()


def test_a_second_push_deletes_old_weights_and_keeps_other_files(hub, release):
    push(plan(release, REPOSITORY), TOKEN, hub.url)
    stored = hub.store.files[f"{REPOSITORY}@main"]
    for name in ("model-00001-of-00002.safetensors", "model.safetensors.index.json", "photo.png"):
        stored[name] = b"old"
    published = push(plan(release, REPOSITORY), TOKEN, hub.url)
    assert published.removed == ["model-00001-of-00002.safetensors", "model.safetensors.index.json"]
    assert set(hub.store.files[f"{REPOSITORY}@main"]) == {
        *contents(release),
        ".gitattributes",
        "photo.png",
    }


def test_a_public_repository_is_not_taken_for_private(hub, release):
    push(plan(release, REPOSITORY), TOKEN, hub.url)
    before = len(hub.store.requests)
    with pytest.raises(InputError, match="already and is public"):
        push(plan(release, REPOSITORY, private=True), TOKEN, hub.url)
    assert not any("preupload" in path for path in hub.store.requests[before:])


@pytest.mark.parametrize(
    ("piece", "status", "message"),
    [
        ("/api/repos/create", 401, "does not accept the token in HF_TOKEN"),
        ("/api/repos/create", 403, "may not write"),
        ("/preupload/", 401, "does not accept the token in HF_TOKEN"),
        ("/preupload/", 403, "may not write"),
        ("/commit/", 409, "push again"),
        ("/commit/", 412, "push again"),
        ("/lfs/objects/batch", 403, "may not write"),
        ("/lfs-storage/", 403, "may not write"),
        ("/commit/", 418, "the Hub refused it"),
    ],
)
def test_refusals_are_a_line_each(hub, release, caplog, capfd, piece, status, message):
    caplog.set_level(logging.DEBUG)
    hub.store.refusals = {piece: status}
    with pytest.raises(InputError, match=message) as error:
        push(plan(release, REPOSITORY), TOKEN, hub.url)
    assert str(error.value).startswith(f"{REPOSITORY}: ")
    assert "\n" not in str(error.value)
    files = hub.store.files.get(f"{REPOSITORY}@main", {})
    assert set(files) <= {".gitattributes"}, "all or nothing"
    assert TOKEN not in str(error.value) + caplog.text + "".join(capfd.readouterr())


def test_a_wrong_token(hub, release):
    with pytest.raises(InputError, match="does not accept the token") as error:
        push(plan(release, REPOSITORY), "hf_another", hub.url)
    assert "hf_another" not in str(error.value)


def test_metadata_that_the_hub_refuses(hub, release):
    hub.store.yaml_errors = ['"language" must be a string', "and more"]
    with pytest.raises(
        InputError, match='Invalid metadata in README.md. - "language" must'
    ) as error:
        push(plan(release, REPOSITORY), TOKEN, hub.url)
    assert "\n" not in str(error.value)
    assert not hub.store.blobs


def test_a_hub_that_cannot_be_reached(release):
    with pytest.raises(InputError, match="the Hub cannot be reached"):
        push(plan(release, REPOSITORY), TOKEN, "http://127.0.0.1:9")


def test_the_token_comes_only_from_the_environment():
    assert read_token({"HF_TOKEN": f" {TOKEN}\n"}) == TOKEN
    for environment in ({}, {"HF_TOKEN": " "}, {"HUGGING_FACE_HUB_TOKEN": TOKEN}):
        with pytest.raises(InputError, match="HF_TOKEN is not set"):
            read_token(environment)


def test_a_plan_needs_no_network(release, monkeypatch):
    def connect(*_):
        raise AssertionError("a dry run uses no network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    planned = plan(release, REPOSITORY, private=True)
    assert {file.name: file.bytes for file in planned.files} == {
        name: len(data) for name, data in contents(release).items()
    }
    assert [file.name for file in planned.files if file.large] == ["model.safetensors"]
    text = str(planned)
    assert f"To {REPOSITORY}, branch main; private if it is new:" in text
    assert "  model.safetensors        12.80 kB  LFS\n" in text
    total = sum(map(len, contents(release).values()))
    assert f"{len(contents(release))} files, {total / 1000:.2f} kB" in text
    assert "Note" not in text


def test_a_card_that_lacks_something_is_noted(tmp_path):
    packed = made_packed(tmp_path)
    (packed / "tokenizer_config.json").write_text("{}")
    nothing = {key: None for key in CONFIG["release"]} | {"datasets": []}
    facts = made_facts(
        packed, costs={}, comparison=None, release=nothing, base={"model": "/models/mine"}
    )
    notes = plan(made_release(packed, facts), REPOSITORY).notes
    assert [note.split("`")[1] for note in notes] == [
        "license",
        "base_model",
        "datasets",
        "model-index",
    ]
    assert all("\n" not in note for note in notes)


def break_json(release):
    (release / "slimspeech.json").write_text("{")


def change(name, data=b"changed"):
    def spoil(release):
        (release / name).unlink()  # a link to the packed student's file
        (release / name).write_bytes(data)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: (r / "slimspeech.json").unlink(), "no release"),
        (break_json, "not valid JSON"),
        (change("slimspeech.json", b'{"format": 2}'), "not of format 1"),
        (change("model.safetensors", POINTER.encode()), "pointer of Git LFS .* run `git lfs pull`"),
        (change("model.safetensors"), "model.safetensors: its hash is not that in sha256.txt"),
        (lambda r: (r / "model.safetensors").unlink(), "model.safetensors: missing"),
        (lambda r: (r / "README.md").unlink(), "README.md: missing"),
        (lambda r: (r / "sha256.txt").unlink(), "sha256.txt: missing"),
        (change("sha256.txt", b"abc  model.safetensors\n"), "is no hash and name"),
        (lambda r: (r / "notes.txt").write_text("x"), "notes.txt: not part of the release"),
        (lambda r: (r / "pytorch_model.bin").touch(), "not part of the release"),
        (lambda r: (r / "link.json").symlink_to("/etc/hostname"), "not part of the release"),
        (change("README.md", b"---\nlicense: [\n---\n"), "its metadata cannot be read"),
        (change("README.md", b"---\nx: 1\nmodel-index: 3\n---\n"), "its metadata cannot be read"),
    ],
)
def test_an_incomplete_release_is_refused(release, spoil, message):
    spoil(release)
    with pytest.raises(InputError, match=message) as error:
        plan(release, REPOSITORY)
    assert "\n" not in str(error.value)


def test_hidden_folders_are_neither_checked_nor_sent(release):
    (release / ".cache").mkdir()
    (release / ".cache" / "secret.bin").touch()
    names = {file.name for file in plan(release, REPOSITORY).files}
    assert names == set(contents(release))


def test_an_edited_card_may_be_sent(release):
    card = release / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nThanks to all.\n", encoding="utf-8")
    assert plan(release, REPOSITORY)


@pytest.mark.parametrize("name", ["student", "a/b/c", ""])
def test_a_repository_has_an_owner_and_a_name(release, name):
    with pytest.raises(InputError, match="name it as owner/name"):
        plan(release, name)


@pytest.mark.parametrize(
    "name",
    ["some one/x", "me/x.git", "me/x--y", "me/x..y", "me/-x", "me/x.", "mé/x", f"me/{'x' * 97}"],
)
def test_a_repository_that_the_hub_refuses_is_refused_before(release, name):
    with pytest.raises(InputError, match="is no name for a repository on the Hub"):
        plan(release, name)


@pytest.mark.parametrize(
    ("branch", "allowed"),
    [("main", True), ("v2/try", True), ("v1.0", True), ("a@b", True), ("größe", True)]
    + [(name, False) for name in ("", "a b", "a..b", "-x", "x.lock", "x/", "a//b", "x.", "a~1")]
    + [(name, False) for name in ("a/.b", "HEAD", "refs/pr/1", "a@{1}", "a\\b", "x[", "a\tb")],
)
def test_a_branch_that_git_refuses_is_refused_before(release, branch, allowed):
    if allowed:
        assert plan(release, REPOSITORY, branch).revision == branch
    else:
        with pytest.raises(InputError, match="is no name for a branch"):
            plan(release, REPOSITORY, branch)


def test_a_card_with_a_byte_order_mark_keeps_its_metadata(release):
    card = release / "README.md"
    card.write_bytes(b"\xef\xbb\xbf" + card.read_bytes())
    assert plan(release, REPOSITORY).notes == []


def test_another_directory(release):
    with pytest.raises(InputError, match="give the folder `release` of a student"):
        plan(release.parent / "packed", REPOSITORY)


def test_large_files_arrive_whole(hub, tmp_path):
    packed = made_packed(tmp_path)
    (packed / "tokenizer_config.json").write_text("{}")
    data = hashlib.shake_256(b"weights").digest(3_000_001)
    (packed / "model.safetensors").write_bytes(data)
    push(plan(made_release(packed), REPOSITORY), TOKEN, hub.url)
    assert hub.store.files[f"{REPOSITORY}@main"]["model.safetensors"] == data
