"""Which package of the library may import which."""

import ast
from functools import cache

import pytest
from project import REPOSITORY

LIBRARY = REPOSITORY / "workflow" / "scripts" / "slimspeech"
# From the top down. A package may import from its own floor and those below it, and from the
# modules that lie directly in the library; those import from each other alone.
FLOORS = [
    {"cli", "web"},
    {"hub", "longform", "release", "report"},
    {"budget"},
    {"pruning", "training"},
    {"evaluation"},
    {"engines", "generation", "quantization"},
    {"models"},
    {"families"},
    {"data"},
    {"assets"},
]
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in sorted(packages)}


@cache
def imports() -> dict[str, set[str]]:
    """The packages that each package imports from. "ground": the library's own modules."""
    arrows: dict[str, set[str]] = {package: set() for package in [*FLOOR, "ground"]}
    for file in LIBRARY.rglob("*.py"):
        importer = file.relative_to(LIBRARY).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("slimspeech."):
                imported = node.module.split(".")[1]
                if imported in FLOOR and file.name != "__main__.py":
                    arrows[importer if importer in FLOOR else "ground"].add(imported)
    return arrows


def test_every_package_has_a_floor():
    packages = {file.parent.name for file in LIBRARY.glob("*/__init__.py")}
    assert packages == set(FLOOR)


@pytest.mark.parametrize("package", [*FLOOR, "ground"])
def test_imports_run_downwards(package):
    floor = FLOOR.get(package, len(FLOORS))
    upwards = {other for other in imports()[package] if FLOOR[other] < floor}
    assert not upwards, f"{package} imports from {upwards}"


def test_packages_do_not_import_in_a_circle():
    arrows = {package: others - {package} for package, others in imports().items()}
    while leaves := {package for package, others in arrows.items() if not others}:
        arrows = {
            package: others - leaves for package, others in arrows.items() if package not in leaves
        }
    assert not arrows
