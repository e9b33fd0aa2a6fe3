import pytest
import torch
from settings import configured

from slimspeech.errors import InputError
from slimspeech.evaluation import cost
from slimspeech.evaluation.cost import (
    CostSettings,
    measure_cost,
    peak_memory,
    reset_peak_memory,
)
from slimspeech.generation.translation import GenerationSettings

SIZE = {"weights": 6, "bytes": 3}


@pytest.fixture
def measure(trained, rows, prompt):
    threads = torch.get_num_threads()
    yield lambda **changes: measure_cost(
        trained[0],
        rows,
        prompt,
        GenerationSettings("auto", max_new_tokens=8, precision="fp32"),
        configured(CostSettings, **{"clips": 4, "repeats": 2, "batch_sizes": [2, 32]} | changes),
        SIZE,
    )
    torch.set_num_threads(threads)


def test_measured_values(measure, rows):
    measured = measure()
    assert (measured["clips"], measured["repeats"], measured["threads"]) == (4, 2, 1)
    assert measured["audio_seconds"] == sum(row["duration"] for row in rows[:4])
    assert (measured["weights"], measured["bytes"], measured["out_of_memory"]) == (6, 3, [])
    # One clip at a time always, and never more at once than there are.
    assert [batch["batch_size"] for batch in measured["batches"]] == [1, 2, 4]
    [best] = [batch for batch in measured["batches"] if batch["best"]]
    speeds = [batch["tokens_per_second"]["median"] for batch in measured["batches"]]
    assert best["tokens_per_second"]["median"] == max(speeds)
    for batch in measured["batches"]:
        seconds, factor = batch["seconds"], batch["real_time_factor"]
        assert 0 < seconds["low"] <= seconds["median"] <= seconds["high"]
        assert factor["low"] == seconds["low"] / measured["audio_seconds"]
        assert batch["peak_memory_bytes"] <= measured["peak_memory_bytes"]


def test_sizes_that_do_not_fit_are_left_out(measure, monkeypatch):
    real = cost.translate

    def small_memory(model, processor, rows, prompt, settings, progress):
        assert settings.fixed
        if settings.batch_size > 2:
            raise torch.OutOfMemoryError
        return real(model, processor, rows, prompt, settings, progress)

    monkeypatch.setattr(cost, "translate", small_memory)
    measured = measure()
    assert [batch["batch_size"] for batch in measured["batches"]] == [1, 2]
    assert measured["out_of_memory"] == [4]


def test_one_clip_has_to_fit(measure, monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(cost, "translate", no_memory)
    with pytest.raises(InputError, match="does not hold the model and one clip"):
        measure()


def test_tokens_are_those_of_the_translations_and_their_ends(processor):
    ids = processor.tokenizer("Guten Tag.").input_ids
    assert cost._count_tokens(processor, ["Guten Tag.", ""]) == len(ids) + 2


def test_no_segments(trained, prompt):
    with pytest.raises(InputError, match="no segments"):
        measure_cost(
            trained[0],
            [],
            prompt,
            GenerationSettings(1, 8, "fp32"),
            configured(CostSettings),
            SIZE,
        )


@pytest.mark.skipif(torch.cuda.is_available(), reason="of the memory of a CPU")
def test_the_peak_is_reset():
    reset_peak_memory()
    before = peak_memory()
    block = torch.ones(64 * 2**20, dtype=torch.uint8)
    largest = peak_memory()
    assert largest - before > 60 * 2**20
    del block
    reset_peak_memory()
    assert peak_memory() < largest - 30 * 2**20
