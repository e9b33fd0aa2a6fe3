"""Ten minutes on your GPU: does every step run, how fast, what fits, and what will a config cost?

    make check-gpu CONFIG=config/iwslt2027.yaml

Models have random weights of the config's true shape, made on the card; nothing is downloaded. Each
step is a process of its own with a time limit, so that one that fails leaves the others alone.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from gpu_checks.lines import FAILED, Line, Lines, read_lines
from snakemake.utils import update_config, validate
from tables import table

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
# Seconds that a step may take: in all, and with --quick.
STEPS = {
    "packages": (40, 20),
    "correctness": (80, 35),
    "search": (150, 40),
    "decoding": (110, 30),
    "training": (180, 40),
    "plan": (40, 15),
}
TINY_LIMIT = 900  # where the code is tried, the machine may be busy


def read_config(paths: Sequence[str]) -> dict[str, Any]:
    """The config of the files, the later over the earlier, with its defaults."""
    config: dict[str, Any] = {}
    for path in paths:
        update_config(config, yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    validate(config, schema=str(SCHEMA))
    return config


def run_step(step: str, folder: Path, limit: int) -> tuple[list[Line], float]:
    """The lines of a step and its seconds; a line more if it ended early."""
    path, log, start = folder / f"{step}.jsonl", folder / f"{step}.log", time.monotonic()
    command = [sys.executable, __file__, "--folder", str(folder), "--step", step]
    environment = os.environ | {
        # Large batches of changing lengths leave holes in blocks of a fixed size.
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
    }
    problem = f"took longer than {limit} s, and was stopped"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        code = process.wait(limit)
        problem = f"ended with {code}: {_last(log)}" if code else ""
    except subprocess.TimeoutExpired:
        pass
    finally:  # also where the user stops the check
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if problem:
        Lines(step, path).add("the rest of this step", FAILED, problem)
    return read_lines(path), time.monotonic() - start


def _last(log: Path) -> str:
    """The last line of a log that says something."""
    texts = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((text.strip() for text in reversed(texts) if text.strip()), "no message")


def take_step(step: str, folder: Path) -> None:
    """Do a step in this process."""
    setup = json.loads((folder / "setup.json").read_text(encoding="utf-8"))
    import harness  # its path first
    import torch
    from gpu_checks.subject import Subject

    torch.set_num_threads(setup["threads"])
    subject = Subject(setup["config"], setup["tiny"], setup["quick"], folder / "files")
    lines = Lines(step, folder / f"{step}.jsonl")
    module = importlib.import_module(f"gpu_checks.{step}")

    def check() -> None:
        if step == "plan":
            before = [line for name in STEPS for line in read_lines(folder / f"{name}.jsonl")]
            module.check(subject, lines, before, setup["price"])
        else:
            module.check(subject, lines)

    harness.run(check)


def show(lines: Sequence[Line], title: str) -> str:
    rows = [[line.step, line.name, line.status, line.text] for line in lines]
    return f"## {title}\n\n" + table(["step", "what", "", "result"], rows, texts=4)


def check(options: argparse.Namespace, folder: Path) -> list[Line]:
    setup = {
        "config": read_config(options.configs),
        "price": options.price,
        "threads": options.threads,
        "quick": options.quick,
        "tiny": options.tiny,
    }
    (folder / "setup.json").write_text(json.dumps(setup), encoding="utf-8")
    lines = []
    for step in options.steps:
        limit = TINY_LIMIT if options.tiny else STEPS[step][options.quick]
        print(f"{step}: at most {limit} s …", end=" ", file=sys.stderr, flush=True)
        of_step, seconds = run_step(step, folder, limit)
        failed = sum(line.status == FAILED for line in of_step)
        end = f", {failed} failed" if failed else ""
        print(f"{seconds:.0f} s, {len(of_step)} lines{end}", file=sys.stderr)
        lines += of_step
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if a line failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    default = [str(ROOT / "config" / "iwslt2025.yaml")]
    add("configs", nargs="*", default=default, metavar="CONFIG", help="(config/iwslt2025.yaml)")
    add("--quick", action="store_true", help="three minutes: fewer clips, batches and updates")
    add("--tiny", action="store_true", help="a tiny model, also on a CPU: to try the code")
    add("--price", type=float, default=2.5, help="euros of a GPU and hour (2.5)")
    add("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="some of the steps")
    add("--output", type=Path, default=Path("check-gpu.json"), help="the lines (check-gpu.json)")
    add("--threads", type=int, default=os.cpu_count(), help="of the CPU (all)")
    add("--step", choices=STEPS, help=argparse.SUPPRESS)
    add("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step:
        take_step(options.step, options.folder)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        lines = check(options, Path(folder))
    title = "Check of the GPU" + " (TINY: only to try the code)" * options.tiny
    text = show(lines, title)
    print(text)
    result = {"configs": options.configs, "tiny": options.tiny, "quick": options.quick}
    result["lines"] = [asdict(line) for line in lines]
    options.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", "utf-8")
    options.output.with_suffix(".md").write_text(text + "\n", "utf-8")
    return int(any(line.status == FAILED for line in lines))


if __name__ == "__main__":
    sys.exit(main())
