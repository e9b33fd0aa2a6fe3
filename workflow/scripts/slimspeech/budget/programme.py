"""One option of each group, of least loss within a number of bytes: an integer programme."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

# HiGHS takes a constraint as met if it is missed by a millionth, so as much is left free.
SLACK = 2e-6
# Nats for the bytes of all options together: of two choices of equal loss, the smaller is taken.
TIE = 1e-6
# The unit of loss in the programme, in nats, because HiGHS stops at a gap of a millionth.
UNIT = 1e-3


@dataclass(frozen=True)
class Option:
    """A way to store a part of the model: what it says of the form, its bytes, its loss in nats."""

    form: Mapping[str, Any]
    bytes: int
    loss: float


@dataclass(frozen=True)
class Choice:
    """An option of each group."""

    options: Mapping[str, Option]

    @property
    def bytes(self) -> int:
        return sum(option.bytes for option in self.options.values())

    @property
    def loss(self) -> float:
        return sum(option.loss for option in self.options.values())


Groups = Mapping[str, Sequence[Option]]


def extremes(groups: Groups) -> tuple[int, int]:
    """Bytes of the smallest and of the largest choice."""
    sizes = [[option.bytes for option in options] for options in groups.values()]
    return sum(map(min, sizes)), sum(map(max, sizes))


def best_choice(groups: Groups, budget: int) -> Choice | None:
    """The choice of least loss of at most so many bytes; None if there is none."""
    names = [name for name, options in groups.items() for _ in options]
    options = [option for group in groups.values() for option in group]
    sizes = np.array([option.bytes for option in options], dtype=float)
    losses = np.array([option.loss for option in options]) / UNIT
    one_of_each = np.array([[own == name for own in names] for name in groups], dtype=float)
    solution = milp(
        losses + TIE / UNIT * sizes / sizes.sum(),
        integrality=np.ones(len(options)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_of_each, 1, 1),
            LinearConstraint(sizes / budget, ub=1 - SLACK),
        ],
        options={"mip_rel_gap": 0},
    )
    if solution.x is None:
        return None
    taken = solution.x > 0.5
    return Choice(
        {name: option for name, option, is_in in zip(names, options, taken, strict=True) if is_in}
    )


def front(groups: Groups) -> list[Choice]:
    """The choices that no other one beats in bytes and loss, the largest first."""
    _, largest = extremes(groups)
    choices, budget = [], round(largest * (1 + 2 * SLACK))
    while choice := best_choice(groups, budget):
        choices.append(choice)
        budget = choice.bytes
    return choices
