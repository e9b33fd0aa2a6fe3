"""Reads what a student's exports cost in serving engines, and what they score."""

from pathlib import PurePosixPath

from slimspeech.report.read.files import Reader
from slimspeech.report.read.system import as_cost
from slimspeech.report.results import Engine


def read_engines(
    reader: Reader, folder: str, student: str, metric: str, segments: int
) -> list[Engine]:
    """folder: results/{experiment}/{pair}. metric, segments: of the pair's test set."""
    engines = []
    for path in reader.glob(f"{folder}/students/{student}/parity/*/*/cost.json"):
        place = PurePosixPath(path).parent
        files = {"engine cost": path}
        cost, score = reader.json(path), None
        if parity := reader.json(f"{place}/parity.json"):
            files["parity"] = f"{place}/parity.json"
            if (parity["metric"], parity["clips"]) == (metric, segments):
                score = parity["engine_score"]
        name = f"{student}, {cost['engine']} {place.name}"
        engines.append(Engine(name, student, as_cost(cost), score, files))
    return engines
