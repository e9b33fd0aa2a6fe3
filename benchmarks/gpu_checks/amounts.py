"""How many clips each part of a config's data has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimspeech.artifacts import read_jsonl
from slimspeech.data.splits import PAPER_SEGMENTS
from slimspeech.errors import InputError

EVAL_SEGMENTS = 416  # of ACL 60/60, five talks; the rest is dev
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Amounts:
    """Clips of a pair. text: where the counts are from."""

    train: int
    validation: int
    test: int
    searched: int
    out_of_domain: int
    text: str

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Amounts":
        """Of the data that was prepared, or else of ACL 60/60 as published.

        Raises InputError for another corpus that was not prepared.
        """
        folder = Path("results", config["experiment"], config["pairs"][0], "data")
        files = [folder / f"{part}.jsonl" for part in PARTS]
        if all(file.is_file() for file in files):
            counts, origin = [len(read_jsonl(file)) for file in files], str(folder)
        else:
            counts, origin = _published(config), "ACL 60/60 as published"
        searched = dict(zip(PARTS, counts, strict=True))[config["pruning"]["split"]]
        clips = config["pruning"]["clips"]
        other = config["data"].get("out_of_domain")
        named = ", ".join(f"{count} {part}" for part, count in zip(PARTS, counts, strict=True))
        return cls(
            *counts,
            searched=min(clips or searched, searched),
            out_of_domain=other["size"] if other else 0,
            text=f"clips of {origin}: {named}; one seed; without scoring, cost and COMET",
        )

    def rows(self, data: dict[str, int]) -> int:
        """Clips of an epoch, from `data` of a stage. Filters of the distilled part drop few."""
        out_of_domain = min(data.get("out_of_domain_clips", self.out_of_domain), self.out_of_domain)
        gold = data.get("gold", 0) + data.get("distilled", 0)
        return gold * self.train + data.get("out_of_domain", 0) * out_of_domain


def _published(config: dict[str, Any]) -> list[int]:
    """Clips of train, validation and test."""
    archive, split = config["data"]["archive"], config["data"]["split"]
    if Path(archive).name != "acl6060.zip" or "mini" in Path(archive).parts:
        raise InputError(
            f"{archive}: not prepared yet, and not ACL 60/60, whose size is known; make "
            f"results/{config['experiment']}/{config['pairs'][0]}/data/test.jsonl first"
        )
    test = EVAL_SEGMENTS if split["method"] != "paper" else split["test_size"]
    validation = split["validation_size"]
    return [PAPER_SEGMENTS - test - validation, validation, test]
