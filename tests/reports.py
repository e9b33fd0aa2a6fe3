"""Generated results, which the tests of the report share with its benchmark."""

import importlib.util
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PUBLISHED = REPOSITORY / "workflow" / "report" / "published.yaml"

spec = importlib.util.spec_from_file_location(
    "made_results", REPOSITORY / "benchmarks" / "made_results.py"
)
made_results = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made_results)
make_results = made_results.make_results


def give_text(folder: Path, name: str) -> None:
    """Outputs of score_talks, copied from S1. folder: of the pair's results."""
    submission, student = folder / "submission" / name, folder / "evaluation" / "S1"
    submission.mkdir(parents=True)
    shutil.copy(student / "scores.json", submission)
    shutil.copy(student / "hypotheses.jsonl", submission / "resegmented.jsonl")
