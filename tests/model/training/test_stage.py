"""What a rule asks of a training."""

import ast
import re
from types import SimpleNamespace

import pytest
from project import REPOSITORY

from slimspeech.training.stage import Stage


class Files(dict):
    """Of a job, by name, as Snakemake gives them."""

    __getattr__ = dict.__getitem__


def stage_of(training, threads):
    job = SimpleNamespace(
        input=Files(model="base", gold="train.jsonl", validation="validation.jsonl"),
        output=Files(curve="curve.jsonl"),
        params=SimpleNamespace(
            mix={"gold": 1}, prompt={}, languages={}, training=training, seed=1, workspace="work"
        ),
        threads=threads,
    )
    return Stage.of(job, "model")


def of_the_mini_base():
    rules = (REPOSITORY / "workflow" / "rules" / "mini.smk").read_text(encoding="utf-8")
    [settings] = re.findall(r"training=(\{.*?\n        \})", rules, re.DOTALL)
    return ast.literal_eval(settings)


def test_the_rule_of_the_mini_base_says_all_that_a_training_needs():
    assert stage_of(of_the_mini_base(), threads=2).workers == 1


@pytest.mark.parametrize(("nodes", "workers"), [(1, 2), (2, 8)])
def test_processes_on_one_node_share_the_threads_of_the_job(nodes, workers):
    training = of_the_mini_base() | {"gpus": 4, "nodes": nodes}
    assert stage_of(training, threads=9).workers == workers
