"""Print the pip pins of every environment that shares the one virtual environment of `make`.

    python envs/list_pins.py > pins.in && pip-compile … pins.in

COMET is left out: it cannot live with transformers 5.
"""

import sys
from pathlib import Path

import yaml

SEPARATE = {"comet.yaml"}


def pins(folder: Path) -> list[str]:
    """Sorted pins; raises ValueError when two environments disagree on a version."""
    versions: dict[str, str] = {}
    for file in sorted(folder.glob("*.yaml")):
        if file.name in SEPARATE:
            continue
        [packages] = [
            entry["pip"]
            for entry in yaml.safe_load(file.read_text())["dependencies"]
            if isinstance(entry, dict)
        ]
        for pin in packages:
            name, version = pin.split("==")
            if versions.setdefault(name, version) != version:
                raise ValueError(f"{file}: {pin}, but another environment has {versions[name]}")
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


if __name__ == "__main__":
    sys.stdout.write("\n".join(pins(Path(__file__).parent)) + "\n")
