"""Made-up results, which the tests of the report share with its benchmark."""

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
    """What score_talks makes of running text: here what S1 said. folder: of the pair's results."""
    place = folder / "submission" / name
    place.mkdir(parents=True)
    said = folder / "evaluation" / "S1"
    shutil.copy(said / "scores.json", place)
    shutil.copy(said / "hypotheses.jsonl", place / "resegmented.jsonl")
