"""Prove that each environment holds what the scripts of its rules import.

    python envs/prove.py [NAME …]        # such as scoring; all without a name

With --use-conda Snakemake puts the driver's packages behind the rule's own on the path, so a pin
that is missing shows only where the driver lacks it too. Here each environment is made anew, from
its pins alone, and the imports of each script that names it are run there.
"""

import ast
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from list_pins import SEPARATE, pins_of

ROOT = Path(__file__).resolve().parents[1]
ENVS = ROOT / "envs"
SCRIPTS = ROOT / "workflow" / "scripts"
RULE = re.compile(r"^(?:use )?rule .*?(?=^(?:use )?rule |\Z)", re.M | re.S)
CONDA = re.compile(r"^    conda:\n\s*\"\S*envs/(\w+)\.yaml\"", re.M)
SCRIPT = re.compile(r"scripts/(\w+\.py)")


def scripts_by_environment() -> dict[str, set[str]]:
    """The scripts that the rules of each environment call, by the environment's name."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for rule in RULE.findall(file.read_text(encoding="utf-8")):
            if conda := CONDA.search(rule):
                found.setdefault(conda[1], set()).update(SCRIPT.findall(rule))
    return found


def import_statements(script: str) -> str:
    """A script's imports and no more, as code."""
    tree = ast.parse((SCRIPTS / script).read_text(encoding="utf-8"))
    kept = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return "\n".join(ast.unparse(node) for node in kept)


def prove(name: str, scripts: set[str], folder: Path) -> Iterator[str]:
    """The scripts whose imports fail, each with its error."""
    environment = folder / name
    venv.create(environment, with_pip=True, clear=True)
    python = environment / "bin" / "python"
    lock = ENVS / (f"{name}.lock" if f"{name}.yaml" in SEPARATE else "venv.lock")
    pins = pins_of(ENVS / f"{name}.yaml")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--constraint", lock, *pins], check=True)
    for script in sorted(scripts):
        code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n{import_statements(script)}"
        done = subprocess.run(
            [python, "-I", "-c", code], capture_output=True, text=True, cwd=folder
        )
        if done.returncode:
            yield f"{name}: {script}: {done.stderr.strip().splitlines()[-1]}"


def main(names: list[str]) -> None:
    found = scripts_by_environment()
    with tempfile.TemporaryDirectory() as folder:
        missing = []
        for name in names or sorted(found):
            failed = list(prove(name, found[name], Path(folder)))
            print(
                f"{name}: {len(found[name]) - len(failed)} of {len(found[name])} scripts",
                flush=True,
            )
            missing += failed
    if missing:
        sys.exit("\n".join(missing))


if __name__ == "__main__":
    main(sys.argv[1:])
