"""Checkpoints on disk, and the Hub's answers. Neither needs COMET."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
import yaml
from huggingface_hub import errors

from slimspeech.errors import InputError
from slimspeech.evaluation.comet.checkpoints import Checkpoint, Settings, find_checkpoint

COMMIT = "2760a223ac957f30acfb18c8aa649b01cf1d75f2"


def write(folder: Path, identifier="regression_metric", content=None, **hparams) -> Path:
    encoder = folder / "encoder"
    encoder.mkdir(parents=True)
    path = folder / "checkpoints" / "model.ckpt"
    path.parent.mkdir()
    torch.save(content or {"state_dict": {"weight": torch.zeros(2)}}, path)
    hparams = {"class_identifier": identifier, "pretrained_model": str(encoder)} | hparams
    (folder / "hparams.yaml").write_text(yaml.safe_dump(hparams), encoding="utf-8")
    return path


def find(model, **changes) -> Checkpoint:
    return find_checkpoint(
        Settings("comet22", str(model), **{"revision": "main", "trusted": False} | changes)
    )


def test_a_file_and_its_folder_are_the_same_checkpoint(tmp_path):
    path = write(tmp_path / "mine")
    checkpoint = find(path)
    assert checkpoint.checkpoint == find(tmp_path / "mine").checkpoint == str(path)
    assert checkpoint.revision == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert checkpoint.class_name == "RegressionMetric"


@pytest.mark.parametrize(
    ("identifier", "hparams", "expected"),
    [
        ("regression_metric", {}, True),
        ("referenceless_regression_metric", {}, False),
        ("unified_metric", {"input_segments": ["mt", "src"]}, False),  # CometKiwi
        ("unified_metric", {"input_segments": ["mt", "src", "ref"]}, True),  # UniTE
        ("xcomet_metric", {}, True),
    ],
)
def test_some_metrics_need_a_reference(tmp_path, identifier, hparams, expected):
    write(tmp_path, identifier, **hparams)
    assert find(tmp_path).needs_reference is expected


def test_a_class_that_ranks_is_refused(tmp_path):
    write(tmp_path, "ranking_metric")
    message = "evaluation.comet.comet22.model: .* is of COMET's class ranking_metric, which gives"
    with pytest.raises(InputError, match=message):
        find(tmp_path)


def test_a_file_with_more_than_weights_must_be_trusted(tmp_path):
    write(tmp_path, content={"state_dict": {}, "made_by": SimpleNamespace()})
    with pytest.raises(InputError, match=r"\(types.SimpleNamespace\).*comet22.trusted: true"):
        find(tmp_path)
    assert find(tmp_path, trusted=True).trusted


def spoil_missing_hparams(folder):
    (folder / "hparams.yaml").unlink()


def spoil_hparams(folder):
    (folder / "hparams.yaml").write_text("class_identifier: [", encoding="utf-8")


def spoil_empty_hparams(folder):
    (folder / "hparams.yaml").write_text("", encoding="utf-8")


def spoil_two_files(folder):
    (folder / "checkpoints" / "last.ckpt").touch()


def spoil_no_file(folder):
    (folder / "checkpoints" / "model.ckpt").unlink()


def spoil_encoder(folder):
    (folder / "encoder").rmdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_missing_hparams, "hparams.yaml is missing; a COMET checkpoint is a file in"),
        (spoil_hparams, "hparams.yaml: not valid YAML"),
        (spoil_empty_hparams, "hparams.yaml: holds no keys"),
        (spoil_two_files, r"checkpoints/\*.ckpt must be one file.* last.ckpt, model.ckpt"),
        (spoil_no_file, r"checkpoints/\*.ckpt must be one file.* none"),
        (spoil_encoder, "comet22.model: its encoder, .*encoder, does not exist"),
    ],
)
def test_the_problem_of_a_folder_is_named(tmp_path, spoil, message):
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=message):
        find(tmp_path)


def test_a_missing_path_is_named():
    with pytest.raises(InputError, match="comet22.model: 'my/model.ckpt' does not exist"):
        find("my/model.ckpt")


def test_the_hub_gives_the_commit_of_a_branch_and_the_encoder(tmp_path, monkeypatch):
    downloads = []

    def download(repository, revision, allow_patterns):
        downloads.append((repository, revision))
        return tmp_path / COMMIT

    write(tmp_path / COMMIT, pretrained_model="xlm-roberta-large")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    checkpoint = find("Unbabel/wmt22-comet-da")
    assert downloads == [("Unbabel/wmt22-comet-da", "main"), ("xlm-roberta-large", "main")]
    assert checkpoint.revision == COMMIT
    assert checkpoint.model == "Unbabel/wmt22-comet-da"


def answer(kind: type[Exception]) -> Exception:
    """An error of the Hub, made without the response that its class may ask for."""
    error = kind.__new__(kind)
    error.args = ("what the Hub says",)
    return error


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (errors.GatedRepoError, "is gated: accept its terms on its page, then .*HF_TOKEN"),
        (errors.RepositoryNotFoundError, "does not exist on the Hub, .* correct evaluation.comet"),
        (errors.RevisionNotFoundError, "no such revision; correct evaluation.comet.comet22.rev"),
        (errors.LocalEntryNotFoundError, "is not on this machine, and the Hub cannot be reached"),
        (errors.OfflineModeIsEnabled, "remove comet22 from evaluation.comet"),
        (ConnectionResetError, "is not on this machine, and the Hub cannot be reached"),
    ],
)
def test_an_error_of_the_hub_names_the_fix(monkeypatch, kind, message):
    def refuse(*_, **__):
        raise answer(kind)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(InputError, match=message) as caught:
        find("Unbabel/wmt22-comet-da")
    assert str(caught.value).startswith("evaluation.comet.comet22: Unbabel/wmt22-comet-da at main")
    assert "hf_secret" not in str(caught.value)
