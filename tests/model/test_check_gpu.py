"""The check of a GPU, here on a CPU with tiny models."""

import importlib
import json

import pytest
import torch
from configs import fill, read_config
from project import REPOSITORY

BENCHMARKS = REPOSITORY / "benchmarks"
CONFIG = "config/iwslt2025.yaml"


@pytest.fixture
def module(monkeypatch):
    """Imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture
def subject(module, tmp_path):
    return module("gpu_checks.subject").Subject(fill(read_config(CONFIG)), True, True, tmp_path)


@pytest.fixture
def check(module, subject, tmp_path):
    """The lines of a step, by name."""

    def run(step, *more):
        lines = module("gpu_checks.lines")
        path = tmp_path / f"{step}.jsonl"
        module(f"gpu_checks.{step}").check(subject, lines.Lines(step, path), *more)
        return {line.name: line for line in lines.read_lines(path)}

    return run


def statuses(lines):
    return {line.status for line in lines.values()}


def test_packages(check):
    lines = check("packages")
    assert statuses(lines) <= {"measured", "skipped"}
    assert lines["torch"].text.startswith(torch.__version__)
    assert {"bitsandbytes", "torchao", "peft", "transformers"} <= lines.keys()


def test_the_search_finds_the_same_and_the_plan_counts_it(check, subject):
    lines = check("search")
    assert statuses(lines) == {"measured"}
    assert lines["hypotheses of both"].text == "4: identical"
    engine = lines["engine"].values
    assert engine["ratio"] > 1 and engine["layers"] == subject.layers == 8
    measured = [*lines.values(), *rates(check, subject)]
    plan = check("plan", measured, 2.0)
    # The paper's search: 30 + 29 + … + 23 candidates on 100 clips, for two pairs; the hours are
    # those of the tiny model's speed, scaled by weights.
    whole = plan["the whole run on 1 GPU"].values
    assert whole["euros"] == pytest.approx(2 * whole["hours"])
    eight = plan["the whole run on 8 GPUs"].values
    assert whole["hours"] / 8 < eight["hours"] < whole["hours"]
    assert plan["counted"].text.startswith("clips of ACL 60/60 as published: 784 train, 0")


def rates(check, subject):
    """Lines of the steps that are slow to run, of round numbers."""
    lines = importlib.import_module("gpu_checks.lines")
    layers = subject.layers
    for method in ("full", "qlora"):
        values = {"method": method, "precision": "bf16", "checkpointing": False, "batch_size": 4}
        values |= {"layers": layers, "seconds_per_clip": 0.001}
        values |= {"forecast_bytes": 100, "peak_bytes": 110}
        yield lines.Line("training", method, "measured", "", values)
    for form in ("bf16", "nf4"):
        values = {"form": form, "layers": layers, "seconds_per_clip": 0.001}
        yield lines.Line("decoding", form, "measured", "", values)


def test_the_plan_has_the_sizes_of_the_documents(check, subject):
    plan = check("plan", list(rates(check, subject)), 2.5)
    assert plan["the whole run on 1 GPU"].status == "skipped"
    assert plan["the whole run on 1 GPU"].text == "not measured: search, chrf"
    # 16 bytes a weight (docs/full-size.md: 134 GB), a tenth more as measured.
    assert 1.1 * 134e9 < plan["teacher"].values["peak_bytes"] < 1.1 * 200e9
    assert plan["translate A"].values["disk_bytes"] == pytest.approx(2 * 6.24e9, rel=1e-2)
    assert plan["translate B"].values["disk_bytes"] == pytest.approx(2 * 5.41e9, rel=1e-2)
    # Two pairs: 3 epochs of 784 clips, of a model that is larger than the tiny one.
    scale = subject.weights(subject.layers)
    hours = 2 * 3 * 784 * 0.001 * 8_397_094_912 / scale / 3600
    assert plan["teacher"].values["hours"] == pytest.approx(hours, rel=1e-3)


def test_a_training_on_two_gpus_takes_half_the_time_if_there_are_two(module):
    plan = module("gpu_checks.plan")
    training = plan.Stage("teacher", "teacher", 100.0, 0, 0, (), 2)
    jobs = plan.jobs_of([training, plan.Stage("search", "search", 10.0, 0, 0, ("teacher",))])
    assert [plan.makespan(jobs, count) for count in (1, 2)] == [110, 60]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["correctness", "decoding", "training"])
def test_a_step_measures_all_its_lines(check, step):
    lines = check(step)
    assert len(lines) >= 2 and statuses(lines) == {"measured"}


def test_a_line_that_fails_leaves_the_others(module, tmp_path):
    lines = module("gpu_checks.lines")
    found = lines.Lines("search", tmp_path / "lines.jsonl")
    with found.attempt("first"):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
    found.measured("second", "1 s", seconds=1.0)
    with open(found.path, "a", encoding="utf-8") as file:
        file.write('{"step": "search", "na')  # a kill in the middle
    first, second = lines.read_lines(found.path)
    assert (first.status, first.text) == ("failed", "OutOfMemoryError: CUDA out of memory.")
    assert (second.status, second.values) == ("measured", {"seconds": 1.0})


def test_a_step_that_hangs_is_stopped_and_keeps_its_lines(module, tmp_path, monkeypatch):
    check_gpu = module("check_gpu")
    script = tmp_path / "check_gpu.py"
    script.write_text(
        f"import sys, time\nsys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from pathlib import Path\nfrom gpu_checks.lines import Lines\n"
        "Lines('search', Path(sys.argv[2]) / 'search.jsonl').measured('loop', '1 s')\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(check_gpu, "__file__", str(script))
    lines, seconds = check_gpu.run_step("search", tmp_path, 10)
    assert [line.status for line in lines] == ["measured", "failed"] and seconds < 40
    assert "longer than 10 s" in lines[1].text
    script.write_text("raise SystemExit('no driver')")
    [*_, last], _ = check_gpu.run_step("search", tmp_path, 30)
    assert last.text == "ended with 1: no driver"


@pytest.mark.parametrize(
    "config, memory, layers",
    [
        (CONFIG, 80e9, 32),
        (CONFIG, 24e9, 32),
        (CONFIG, 16e9, 18),
        ("config/iwslt2027.yaml", 24e9, 32),
    ],
)
def test_sizes_adapt_to_the_card(module, tmp_path, config, memory, layers):
    """In bf16, 70 % of the memory for weights: 405 MB a layer of Qwen2-Audio, 448 of Gemma 4."""
    subject = module("gpu_checks.subject").Subject(fill(read_config(config)), False, True, tmp_path)
    subject.__dict__["memory"] = memory
    assert subject.fitting_layers(lambda n: 2 * subject.weights(n), 0.7) == layers


@pytest.mark.slow
def test_the_whole_check_runs_without_a_gpu(module, tmp_path, capsys):
    """As users call it: each step a process of its own."""
    check_gpu = module("check_gpu")
    output = tmp_path / "check.json"
    code = check_gpu.main(["--tiny", "--threads", "1", "--output", str(output)])
    lines = json.loads(output.read_text())["lines"]
    failed = [line for line in lines if line["status"] == "failed"]
    assert (code, failed) == (0, [])
    assert {line["step"] for line in lines} == set(check_gpu.STEPS)
    table = capsys.readouterr().out
    assert "TINY" in table and table.count("\n| ") == 2 + len(lines)
    assert output.with_suffix(".md").read_text() == table


def test_work_of_a_linear_layer_and_of_attention_by_closed_form(module):
    model = torch.nn.Linear(3, 5, bias=False)
    query, key, value = (torch.zeros(2, 4, positions, 8) for positions in (1, 7, 7))
    with module("gpu_checks.search").Work(model) as work:
        model(torch.zeros(2, 6, 3))
        torch.nn.functional.scaled_dot_product_attention(query, key, value)
    model(torch.zeros(2, 6, 3))  # no more counted
    torch.nn.functional.scaled_dot_product_attention(query, key, value)
    assert work.bytes == 4 * (3 * 5) + 4 * (2 * 4 * 7 * 8 * 2)
    # Two for each weight and token; two for each product of a query with a key, and with a value.
    assert work.operations == 2 * (3 * 5) * 12 + 2 * (2 * 4 * 7 * 8) * 2


def test_work_counts_the_attention_of_the_engine(module, subject, monkeypatch):
    """All of it: queries of the prompts and of the steps, with their keys, in every layer."""
    search = module("gpu_checks.search")
    model = subject.make(2, torch.float32)
    clip = search.Clip(0, subject.pair, search.read_audio(subject.clips(1)[0]["audio"]))
    seen = []
    read = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda query, *more, **options: seen.append(query.shape) or read(query, *more, **options),
    )
    search.families.of(model.config).prepare(model)
    with search.Work(model) as work:
        for hook in work.hooks:
            hook.remove()
        search.Engine(subject, model).search([clip], [None])
    assert len(seen) > 2 * search.TOKENS
    assert work.operations > 0
