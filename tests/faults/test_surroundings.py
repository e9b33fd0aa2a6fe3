"""A full or read-only disk, files that vanish, a wrong clock, two at once, ctrl-C."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_record import counted
from project import Project
from smoke_project import RUN, hashes, smoke_project
from test_kills import members, start

pytestmark = pytest.mark.slow

MANIFEST = "results/smoke/en-de/data/test.jsonl"
TEACHER = "results/smoke/en-de/teacher"


@pytest.fixture
def project(tmp_path) -> Project:
    return smoke_project(tmp_path / "project")


@pytest.fixture
def small_disk(project) -> Iterator[Path]:
    """results/ on a disk of its own, of 100 kB."""
    folder = project.root / "results"
    folder.mkdir()
    done = mount("-t", "tmpfs", "-o", "size=100k", "tmpfs", folder)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def mount(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True)


def finishes(project: Project, smoke_hashes: dict[str, str], *targets: str) -> None:
    project.succeed(*(targets or (MANIFEST, TEACHER)), *RUN)
    results = hashes(project)
    assert results == {name: smoke_hashes[name] for name in results}
    assert list((project.root / "results").rglob("*.partial")) == []


def fails(project: Project, *targets: str) -> str:
    done = project.snakemake(*targets, *RUN)
    assert done.returncode != 0
    return done.stdout


@counted("full disk", 2)
def test_a_full_disk_is_named_and_the_next_run_goes_on(project, smoke_hashes, small_disk):
    assert "make room" in fails(project, MANIFEST)
    # Enough for the data, but not for a model beside it.
    assert mount("-o", "remount,size=9m", small_disk).returncode == 0
    printed = fails(project, TEACHER)
    assert "No space left on device" in printed or "os error 28" in printed
    assert not (project.root / TEACHER).exists()
    assert mount("-o", "remount,size=200m", small_disk).returncode == 0
    finishes(project, smoke_hashes)


@counted("folder that cannot be written")
def test_a_disk_that_cannot_be_written_is_named(project, smoke_hashes, small_disk):
    assert mount("-o", "remount,ro,size=200m", small_disk).returncode == 0
    assert "Read-only file system" in fails(project, MANIFEST)
    assert mount("-o", "remount,rw,size=200m", small_disk).returncode == 0
    finishes(project, smoke_hashes, MANIFEST)


@counted("output removed after it was made", 2)
def test_an_output_that_vanished_is_made_again(project, smoke_hashes):
    finishes(project, smoke_hashes)
    (project.root / MANIFEST).unlink()
    shutil.rmtree(project.root / "results/smoke/data/audio")
    finishes(project, smoke_hashes)


@counted("input removed under the run")
def test_an_input_that_vanishes_during_the_run_is_named(project, smoke_hashes):
    """The clips vanish while the teacher trains on them."""
    project.succeed(MANIFEST, *RUN)
    audio = project.root / "results/smoke/data/audio"
    process = start(project, TEACHER)
    while not list((project.root / "logs").rglob("train_teacher.log")):
        assert process.poll() is None
        time.sleep(0.05)
    clips = sorted(audio.rglob("*.wav"))
    for clip in clips:
        clip.rename(clip.with_suffix(".gone"))
    assert process.wait() != 0
    assert not (project.root / TEACHER).exists()
    assert ".wav" in (project.root / "snakemake.log").read_text()
    for clip in clips:
        clip.with_suffix(".gone").rename(clip)
    finishes(project, smoke_hashes)


@counted("clock skew of an input", 2)
def test_an_archive_from_the_future_is_named_and_an_old_one_changes_nothing(project, smoke_hashes):
    """Clocks of file servers and nodes differ."""
    archive = project.root / "smoke" / "acl6060.zip"
    os.utime(archive, (time.time() + 3600, time.time() + 3600))
    assert "could indicate a clock skew problem" in fails(project, MANIFEST)
    os.utime(archive, (10**9, 10**9))
    finishes(project, smoke_hashes)
    os.utime(archive, (10**8, 10**8))
    assert "Nothing to be done" in project.succeed(MANIFEST, TEACHER, *RUN)


@counted("second Snakemake at once")
def test_a_second_snakemake_is_refused_and_the_first_finishes(project, smoke_hashes):
    first = start(project, MANIFEST, TEACHER)
    while not list((project.root / ".snakemake" / "locks").glob("*")):
        assert first.poll() is None
        time.sleep(0.05)
    assert "Directory cannot be locked" in fails(project, MANIFEST)
    assert first.wait() == 0
    finishes(project, smoke_hashes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_no_process_and_no_lock(project, smoke_hashes, number):
    with counted(f"{signal.Signals(number).name} during training"):
        process = start(project, MANIFEST, TEACHER)
        while not list((project.root / "logs").rglob("train_teacher.log")):
            assert process.poll() is None
            time.sleep(0.05)
        if number == signal.SIGINT:  # ctrl-C reaches every process of the terminal
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        assert process.returncode not in (None, 0)
        for _ in range(100):  # ten seconds to end in
            if not members(process.pid):
                break
            time.sleep(0.1)
        assert members(process.pid) == {}
        finishes(project, smoke_hashes)
