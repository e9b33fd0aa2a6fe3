"""Print the pip pins of every environment that shares the one virtual environment of `make`.

    python envs/list_pins.py > pins.in && pip-compile … pins.in

Those that cannot share it are left out, and printed alone when named: list_pins.py comet.yaml.
"""

import sys
from pathlib import Path

import yaml

SEPARATE = {"comet.yaml", "gguf.yaml", "vllm.yaml"}


def pins(folder: Path) -> list[str]:
    """Sorted pins; raises ValueError when two environments disagree on a version."""
    versions: dict[str, str] = {}
    for file in sorted(folder.glob("*.yaml")):
        if file.name in SEPARATE:
            continue
        for pin in pins_of(file):
            name, version = pin.split("==")
            if versions.setdefault(name, version) != version:
                raise ValueError(f"{file}: {pin}, but another environment has {versions[name]}")
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


def pins_of(file: Path) -> list[str]:
    """The pins of one environment, in its order."""
    [packages] = [
        entry["pip"]
        for entry in yaml.safe_load(file.read_text())["dependencies"]
        if isinstance(entry, dict)
    ]
    return packages


if __name__ == "__main__":
    folder = Path(__file__).parent
    listed = pins_of(folder / sys.argv[1]) if sys.argv[1:] else pins(folder)
    sys.stdout.write("\n".join(listed) + "\n")
