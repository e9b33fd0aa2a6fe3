"""Projects to plan and to run in, and the model that the runs start from."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import REPOSITORY, Project, finish, make_project
from slurm_cluster import Cluster, slurm_cluster, why_not


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """For dry-runs only: nothing has run in it."""
    return make_project(tmp_path_factory.mktemp("planned") / "project")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """For dry-runs only: as if the default config had run. All results are there, and empty."""
    return finish(make_project(tmp_path_factory.mktemp("finished") / "project"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Slurm of one node; a test is skipped where none can be started."""
    if reason := why_not():
        pytest.skip(reason)
    with contextlib.ExitStack() as running:
        try:
            found = running.enter_context(slurm_cluster(tmp_path_factory.mktemp("slurm"), cores=4))
        except RuntimeError as error:
            pytest.skip(str(error))
        yield found


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini base model, or where it is not shipped an untrained one of four layers."""
    shipped = REPOSITORY / "resources" / "mini" / "base"
    if shipped.is_dir():
        return shipped
    from slimspeech.models.prompts import Prompt
    from slimspeech.models.qwen2audio import save_model
    from slimspeech_mini.grammar import sentences
    from slimspeech_mini.model import build_model, build_processor, tokenizer_texts

    prompt = Prompt("You are a translator.", "Translate the {source} speech into {target}:", {})
    texts = tokenizer_texts(sentences("talk", 1), prompt, ["en-de", "en-zh"], count=200)
    processor = build_processor(texts, vocabulary=600)
    model = build_model(processor, seed=0, decoder_layers=4, width=64, audio_layers=1)
    folder = tmp_path_factory.mktemp("base_model") / "base"
    save_model(model, processor, folder)
    return folder
