"""The benchmarks run on a tiny model and give the same hypotheses. Times are not checked."""

import importlib

import pytest
import torch
from project import REPOSITORY
from tiny_model import Loud

from slimspeech.artifacts import write_json, write_jsonl
from slimspeech.errors import InputError
from slimspeech.longform import segmentation
from slimspeech.models import checkpoints
from slimspeech.models.loading import load_model, load_processor, read_config
from slimspeech.pruning.criteria import GoldCorpus, stack_loss

BENCHMARKS = REPOSITORY / "benchmarks"
QUICK = ["--repeats", "1", "--threads", "1"]


@pytest.fixture
def bench(monkeypatch, capsys):
    """Runs a benchmark's main() and returns its output."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def run(name, *options):
        importlib.import_module(name).main([*options, *QUICK])
        return capsys.readouterr().out

    return run


@pytest.fixture
def inputs(trained, rows, tmp_path) -> list[str]:
    """The tiny model and the German rows."""
    segments = tmp_path / "segments.jsonl"
    write_jsonl(segments, [row for row in rows if row["pair"] == "en-de"])
    return ["--model", trained[0], "--segments", str(segments)]


def test_search_iteration(bench, inputs):
    out = bench("search_iteration", *inputs, "--clips", "3", "--max-new-tokens", "20")
    assert "3 clips, 2 candidates of 4 layers" in out
    assert out.count("identical |") == 2 and out.count(", same |") == 2
    assert "differ" not in out and "another" not in out


def test_search_iteration_in_bf16_counts_what_differs(bench, inputs):
    options = ["--clips", "2", "--max-new-tokens", "6", "--candidates", "1"]
    out = bench("search_iteration", *inputs, *options, "--precision", "bf16")
    assert out.count("identical") + out.count("of 2 differ") == 2
    assert "1 candidates of 4 layers; bf16" in out


@pytest.mark.slow
def test_machines(inputs, capsys, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    machines = importlib.import_module("machines")
    two = ("one thread", "the same again")
    monkeypatch.setattr(machines, "MACHINES", {name: machines.MACHINES[name] for name in two})
    options = ["--train", inputs[-1], "--clips", "3", "--epochs", "1", "--max-new-tokens", "6"]
    machines.main([*inputs, *options])
    out = capsys.readouterr().out
    assert out.count("identical") == 4 and out.count("+0.00") == 2


def test_losses(monkeypatch, capsys, trained, rows, tmp_path):
    monkeypatch.syspath_prepend(BENCHMARKS)
    segments = tmp_path / "segments.jsonl"
    german = [row for row in rows if row["pair"] == "en-de"]
    write_jsonl(segments, [row | {"talk": str(i % 2)} for i, row in enumerate(german)])
    options = ["--segments", str(segments), "--per-talk", "1"]
    importlib.import_module("losses").main([trained[0], trained[0], *options])
    out = capsys.readouterr().out
    lines = [line.split("|")[2:4] for line in out.splitlines() if line.startswith("|")][2:]
    model, processor = load_model(trained[0], torch.float32), load_processor(trained[0])
    corpus = GoldCorpus(model, processor, german[:2], importlib.import_module("harness").PROMPT, 4)
    expected = stack_loss(corpus, range(len(model.get_decoder().layers)))
    assert "2 segments" in out
    assert [[float(cell) for cell in line] for line in lines] == [
        [pytest.approx(expected, abs=1e-4), 0.0]
    ] * 2


def test_formats_of_a_layer(bench, monkeypatch):
    monkeypatch.setattr("layer_formats.VLLM", REPOSITORY / "none")
    out = bench("layer_formats", "--width", "512", "--rows", "1", "3")
    lines = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("|")]
    times = {name.strip(): list(map(float, cells)) for name, *cells in lines[2:]}
    assert {"torch fp32", "torch bf16", "bitsandbytes NF4, fp32"} <= times.keys()
    # 24 layers against 32 of the same.
    fastest = min(times["torch fp32"], times["torch bf16"])
    assert fastest[2] == 1.3


def test_segmentation_by_the_detector_against_the_corpus(bench, inputs, monkeypatch):
    monkeypatch.setattr(segmentation, "SileroDetector", Loud)
    out = bench("segmentation", *inputs, "--clips", "3")
    lines = [line.strip("| ").split("|") for line in out.splitlines() if line.startswith("|")]
    scores = {line[0].strip(): (int(line[1]), float(line[2])) for line in lines[2:]}
    # The model has memorised these clips, each by itself.
    whole = ("the corpus's own segments", "--min-silence 0.3 --max-pause 0.5")
    assert [scores.pop(name) for name in whole] == [(3, 100.0)] * 2
    assert len(scores) == 3 and all(n == 2 and chrf < 50 for n, chrf in scores.values())


def test_search_profile_phases_make_up_the_work(bench, inputs):
    out = bench("search_profile", *inputs, "--clips", "3", "--max-new-tokens", "20")
    lines = [line.split("|") for line in out.splitlines() if line.endswith(" % |")]
    shares = {line[1].strip(): int(line[3].strip(" %")) for line in lines}
    phases = [
        shares.pop(name) for name in ("encoding of the clips", "prompts' pass", "decoding steps")
    ]
    assert min(phases) > 0 and sum(phases) == pytest.approx(100, abs=2)
    assert shares["attention"] > 0 and shares["matrix products"] > 0
    assert sum(shares.values()) == pytest.approx(100, abs=2)


def test_search_scaling(bench, inputs):
    segments = inputs[-1]  # three rows, and the benchmark needs four
    options = ["--clips", "1", "--max-new-tokens", "4", "--iterations", "2"]
    out = bench("search_scaling", *inputs, segments, *options)
    assert "at x4" in out and "| iteration 2 " in out


def test_look_back(bench, inputs, tmp_path):
    write_json(tmp_path / "layers.json", {"kept": [0, 2, 3], "removed": [1]})
    options = ["--layers", str(tmp_path / "layers.json"), "--clips", "2", "--max-new-tokens", "4"]
    out = bench("look_back", *inputs, *options)
    [row] = [line.split("|") for line in out.splitlines() if line.startswith("| 1 ")]
    assert [cell.strip() for cell in row[1:3]] == ["1", "2"]
    assert -100 <= float(row[4]) <= 100 and row[5].strip() == "-"  # too few clips


def test_swaps_are_with_the_nearest_layers_that_are_left(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    swaps = importlib.import_module("look_back").swaps
    assert swaps([0, 1, 3, 6, 7, 9], [5, 2, 4, 8]) == {2: [1, 3], 4: [3, 6], 5: [3, 6], 8: [7]}


def test_search_shards(bench, inputs):
    out = bench("search_shards", *inputs, "--clips", "2", "--max-new-tokens", "4", "--repeats", "1")
    rows = [line.split("|")[1:3] for line in out.splitlines() if line.startswith(("| 1 ", "| 16 "))]
    assert len(rows) == 3 and all(float(seconds) > 0 for _, seconds in rows)


def test_translation(bench, inputs):
    out = bench("translation", *inputs, "--clips", "3", "--max-new-tokens", "20")
    assert out.count("identical |") == 2 and "differ" not in out


@pytest.mark.slow
def test_training_step(bench, inputs):
    options = ["--clips", "2", "--batch-size", "1", "--steps", "10"]
    out = bench("training_step", *inputs, *options)
    assert "Losses on the same batches are equal" in out


@pytest.mark.slow
def test_full_size_pack_in_tiny(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(
        checkpoints, "try_if_it_fits", checkpoints.try_if_it_fits
    )  # restored after the test
    options = ["--tiny", "--folder", str(tmp_path)]
    for step in ("make", "prune", "adapter", "merge", "pack-smallest"):  # in this process
        bench("full_size_pack", *options, "--take", step)
    out = bench("full_size_pack", *options, "--steps", "run-smallest")
    assert "TINY" in out and "| load and run the other" in out
    assert "| smallest | 371,392 |" in out
    for step in ("trim", "pack-trimmed"):
        bench("full_size_pack", *options, "--take", step)
    out = bench("full_size_pack", *options, "--steps", "run-trimmed")
    assert "| load and run the trimmed one by stock classes" in out
    assert read_config(tmp_path / "trimmed-packed").text_config.vocab_size == 384


def test_missing_inputs_are_named(bench, inputs, tmp_path):
    for option, path in (("--model", "teacher"), ("--segments", "train.jsonl")):
        with pytest.raises(InputError, match=f"{path}: missing"):
            bench("translation", *inputs, option, str(tmp_path / path))


def test_too_few_segments_are_an_error(bench, inputs):
    with pytest.raises(InputError, match="the manifests have 3 segments"):
        bench("translation", *inputs, "--clips", "4")
