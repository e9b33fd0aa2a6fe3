"""Projects to plan and to run in, and a cluster."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project, finish, make_project
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
    """For dry-runs only: as if the default config had run. All results exist and are empty."""
    return finish(make_project(tmp_path_factory.mktemp("finished") / "project"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Slurm of one node; a test is skipped where none can be started."""
    with _started(tmp_path_factory.mktemp("slurm"), cores=4) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Slurm of two nodes, both this machine."""
    with _started(tmp_path_factory.mktemp("slurm"), cores=2, nodes=2) as cluster:
        yield cluster


@contextlib.contextmanager
def _started(folder: Path, **size: int) -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(reason)
    with contextlib.ExitStack() as running:
        try:
            cluster = running.enter_context(slurm_cluster(folder, **size))
        except RuntimeError as error:
            pytest.skip(str(error))
        yield cluster
