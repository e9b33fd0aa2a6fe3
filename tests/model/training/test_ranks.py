"""Processes that train together, here two on the CPU: as one process with all the clips would."""

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from settings import defaults
from tiny_model import TARGETS
from two_processes import (
    in_processes,
    second_dies_in_the_fourth_update,
    second_has_memory_for_one_clip,
)

from slimspeech.artifacts import read_jsonl, write_jsonl
from slimspeech.errors import InputError
from slimspeech.models.collation import Collator
from slimspeech.models.loading import save_model
from slimspeech.training import launching
from slimspeech.training import stage as stages
from slimspeech.training.launching import cause
from slimspeech.training.ranks import OutOfMemory, Ranks
from slimspeech.training.stage import Stage, run_stage
from slimspeech.training.updates import Parts, divisors

TRAINING = {"epochs": 2, "batch_size": 2, "gradient_accumulation": 2, "learning_rate": 1e-3}
TRAINING |= {"precision": "fp32", "scheduler": "linear", "checkpoint_steps": 2}
LORA = {"r": 4, "alpha": 8, "rslora": True, "dropout": 0, "target_modules": "all-linear"}


@pytest.fixture
def stage(build, processor, rows, prompt, tmp_path):
    """A stage of six clips, two updates an epoch, the second of two clips."""
    save_model(build(0), processor, tmp_path / "base")
    write_jsonl(tmp_path / "gold.jsonl", rows)
    write_jsonl(tmp_path / "validation.jsonl", rows[:2])

    def make(name, lora=None, **training):
        return Stage(
            model=str(tmp_path / "base"),
            manifests={"gold": str(tmp_path / "gold.jsonl")},
            validation=str(tmp_path / "validation.jsonl"),
            mix={"gold": 1},
            prompt={"system": prompt.system, "user": prompt.user},
            languages={},
            training=defaults("training") | TRAINING | training,
            lora=lora,
            seed=0,
            workspace=str(tmp_path / name / "workspace"),
            workers=0,
            output=str(tmp_path / name / "output"),
            curve=str(tmp_path / name / "curve.jsonl"),
        )

    return make


def losses(stage):
    return [entry.get("loss", entry.get("eval_loss")) for entry in read_jsonl(stage.curve)]


def weights(stage):
    [file] = Path(stage.output).glob("*.safetensors")
    return load_file(file)


@pytest.fixture
def forked(monkeypatch):
    """Lets processes do something first, and none is started by torch's launcher."""

    def let(first=None):
        monkeypatch.setattr(stages, "_run_processes", in_processes(first))

    let()
    return let


def test_shares_of_an_update_make_up_its_loss(processor, prompt, rows):
    """The mean of micro-batches, here of four clips and of two; each a mean over tokens."""
    collator = Collator(processor, prompt)
    parts = [Parts(collator, 4, Ranks(number, 2))(rows) for number in range(2)]
    assert [len(part["labels"]) for part in parts[0]["parts"]] == [3]
    assert [len(part["labels"]) for part in parts[1]["parts"]] == [1, 2]
    tokens = [1 + len(processor.tokenizer(target).input_ids) for _, target in TARGETS]
    [first], [second, third] = parts[0]["shares"], parts[1]["shares"]
    assert first == pytest.approx(sum(tokens[:3]) / sum(tokens[:4]) / 2)
    assert (first + second, third) == pytest.approx((1 / 2, 1 / 2))


def test_whole_micro_batches_stay_whole(processor, prompt, rows):
    parts = [Parts(Collator(processor, prompt), 2, Ranks(n, 3))(rows) for n in range(3)]
    assert [len(inputs["parts"][0]["labels"]) for inputs in parts] == [2, 2, 2]


def test_a_process_without_clips_has_one_that_does_not_count_where_all_must_compute(
    processor, prompt, rows
):
    collator, first = Collator(processor, prompt), Ranks(0, 2)
    assert Parts(collator, 2, first)(rows[:1])["parts"] == []
    inputs = Parts(collator, 2, first, always=True)(rows[:1])
    assert len(inputs["parts"]) == 1 and inputs["shares"] == [0]
    assert divisors(inputs["parts"], 0) == [float("inf")]


def test_halved_parts_have_the_weight_of_their_tokens():
    parts = [{"labels": torch.tensor([[-100, 5, 6, 7]])}, {"labels": torch.tensor([[-100, 5]])}]
    assert divisors(parts, 0.5) == pytest.approx([4 / 3 / 0.5, 4 / 0.5])


class Failure:
    def __init__(self, message, timestamp=0):
        self.message, self.timestamp = message, timestamp


def test_the_reason_is_that_of_the_process_that_failed_first_and_by_itself():
    lost = {"message": "DistBackendError: Connection closed by peer"}
    own = {"message": "InputError: a.wav: no such file"}
    error = cause({0: Failure(lost), 1: Failure(own)})
    assert isinstance(error, InputError) and str(error) == "a.wav: no such file"
    killed = cause({0: Failure(lost), 1: Failure("Signal 9 (SIGKILL) received by PID 12")})
    assert isinstance(killed, RuntimeError) and "process 1 of 2" in str(killed)
    assert "Signal 9 (SIGKILL)" in str(killed)


def test_the_reason_on_several_nodes_is_read_from_what_processes_wrote(tmp_path):
    def write(number, message):
        extra = {"timestamp": str(number)}
        entry = {"message": {"message": message, "extraInfo": extra}}
        (tmp_path / f"{number}.json").write_text(json.dumps(entry))

    found = launching._cause_on_nodes(tmp_path, 3, 9)
    assert "srun ended with 9" in str(found)
    write(0, "DistBackendError: Connection closed by peer")
    found = launching._cause_on_nodes(tmp_path, 3, 9)
    assert str(found) == "process 1, 2 ended without an error of its own"
    write(2, "InputError: a.wav: no such file")
    found = launching._cause_on_nodes(tmp_path, 3, 1)
    assert isinstance(found, InputError) and str(found) == "a.wav: no such file"


def test_several_nodes_need_slurm(stage, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(InputError, match=r"training\.nodes is 2 and this is no job of SLURM"):
        run_stage(stage("nodes", gpus=2, nodes=2))


def test_processes_that_wait_for_each_other_start_again_in_smaller_micro_batches(
    stage, monkeypatch
):
    sizes = []

    def run(stage, settings, micro_batch):
        sizes.append(micro_batch)
        if micro_batch > 1:
            raise OutOfMemory(micro_batch // 2)

    monkeypatch.setattr(stages, "_run_processes", run)
    run_stage(stage("restarted", gpus=2, shard=True, batch_size=4))
    assert sizes == [4, 2, 1]


@pytest.mark.parametrize(
    "kind",
    [
        "full",
        pytest.param("qlora", marks=pytest.mark.slow),
        pytest.param("shard", marks=pytest.mark.slow),
    ],
)
def test_two_processes_train_as_one(stage, forked, kind):
    lora = LORA if kind == "qlora" else None
    one = stage("one", lora)
    two = stage("two", lora, gpus=2, shard=kind == "shard", gradient_checkpointing=kind == "shard")
    run_stage(one)
    run_stage(two)
    assert len(losses(one)) == 4
    assert_same(two, one)
    assert not Path(two.workspace).exists()


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True])
def test_a_process_without_memory_computes_the_same_updates_in_smaller_parts(stage, forked, shard):
    one, two = stage("one"), stage("two", gpus=2, shard=shard)
    run_stage(one)
    forked(second_has_memory_for_one_clip)
    run_stage(two)
    assert_same(two, one)


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True])
def test_a_killed_process_ends_the_training_which_resumes(stage, forked, shard):
    one = stage("one", gpus=2, shard=shard, checkpoint_steps=3)
    two = replace(one, **{key: getattr(stage("two"), key) for key in PATHS})
    run_stage(one)
    forked(second_dies_in_the_fourth_update)
    with pytest.raises(RuntimeError, match="process 1 of 2 failed: Signal 9"):
        run_stage(two)
    assert list(Path(two.workspace).glob("checkpoint-3")) and not Path(two.curve).exists()
    forked()
    run_stage(two)
    assert losses(two) == losses(one)
    for name, weight in weights(two).items():
        assert torch.equal(weight, weights(one)[name])


PATHS = ("workspace", "output", "curve")


def assert_same(first, second):
    """Losses in fp32 to 1e-6, and the weights, written in bf16, but for their rounding."""
    assert losses(first) == pytest.approx(losses(second), abs=1e-6)
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(weight.float(), theirs[name].float(), atol=1e-5, rtol=1e-2)


# Torch's launcher


@pytest.mark.slow
def test_the_launcher_ends_all_processes_when_one_is_killed(stage):
    killer = threading.Thread(target=kill_second)
    killer.start()
    with pytest.raises(RuntimeError, match="process 1 of .* Signal 9"):
        run_stage(stage("killed", gpus=2))
    killer.join()


@pytest.mark.slow
def test_an_error_of_a_process_is_the_error_of_the_job(stage, tmp_path):
    broken = stage("broken", gpus=2)
    (tmp_path / "gold.jsonl").write_text("")
    with pytest.raises(InputError, match="leaves no rows to train on"):
        run_stage(broken)


def kill_second():
    while not (killed := [child for child in children() if second(child)]):
        time.sleep(0.05)
    os.kill(int(killed[0].name), signal.SIGKILL)


def children():
    lists = Path("/proc/self/task").glob("*/children")
    return [Path("/proc", child) for path in lists for child in path.read_text().split()]


def second(process):
    try:
        return b"\0RANK=1\0" in b"\0" + (process / "environ").read_bytes()
    except OSError:
        return False


def test_more_gpus_than_there_are_is_an_error(stage, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="training.gpus is 2 and the job sees 1"):
        run_stage(stage("many", gpus=2))
