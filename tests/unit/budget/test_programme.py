"""The integer programme, against every combination of options."""

from itertools import product

import numpy as np
import pytest

from slimspeech.budget.programme import Choice, Option, best_choice, extremes, front


def draw_groups(seed: int) -> dict[str, list[Option]]:
    """Four groups of two to five options, with the sizes of a real model in bytes."""
    random = np.random.default_rng(seed)
    return {
        f"group {number}": [
            Option(
                {}, int(random.integers(10**6, 10**9)), float(random.choice([0, random.random()]))
            )
            for _ in range(random.integers(2, 6))
        ]
        for number in range(4)
    }


def every_choice(groups) -> list[Choice]:
    return [
        Choice(dict(zip(groups, options, strict=True))) for options in product(*groups.values())
    ]


@pytest.mark.parametrize("seed", range(20))
def test_no_combination_that_fits_is_better(seed):
    groups = draw_groups(seed)
    smallest, largest = extremes(groups)
    choices = every_choice(groups)
    assert min(choice.bytes for choice in choices) == smallest
    assert max(choice.bytes for choice in choices) == largest
    for share in (0.1, 0.5, 0.9):
        budget = round(smallest + share * (largest - smallest))
        fitting = [choice for choice in choices if choice.bytes <= budget]
        choice = best_choice(groups, budget)
        assert choice.bytes <= budget
        assert choice.loss == pytest.approx(min(other.loss for other in fitting), abs=2e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_no_combination_beats(seed):
    choices, found = every_choice(draw_groups(seed)), front(draw_groups(seed))
    unbeaten = [
        (own.bytes, own.loss)
        for own in choices
        if not any(
            other.bytes <= own.bytes
            and other.loss <= own.loss
            and (other.bytes, other.loss) != (own.bytes, own.loss)
            for other in choices
        )
    ]
    assert [choice.bytes for choice in found] == sorted(
        (size for size, _ in unbeaten), reverse=True
    )
    assert [choice.loss for choice in found] == pytest.approx(sorted(loss for _, loss in unbeaten))


def test_of_equal_losses_the_smaller_is_taken():
    groups = {"part": [Option({}, 900, 0.1), Option({}, 100, 0.1), Option({}, 50, 0.2)]}
    assert best_choice(groups, 1000).bytes == 100


def test_nothing_fits_below_the_smallest():
    groups = {"part": [Option({}, 900, 0.0), Option({}, 100, 0.1)]}
    assert best_choice(groups, 99) is None
