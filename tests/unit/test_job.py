"""How the script of a rule starts: what it prints is in the log, its threads, its GPU."""

import os
import subprocess
import sys

import pytest
from project import REPOSITORY

SCRIPTS = REPOSITORY / "workflow" / "scripts"
SNAKEMAKE = """
from types import SimpleNamespace
snakemake = SimpleNamespace(log=["rule.log"], threads={threads}, resources={resources})
from slimspeech.job import start
start(snakemake)
"""


@pytest.fixture
def run(tmp_path):
    """A script of a rule: its exit status, the screen and the log."""
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-aa11)'\n")
    driver.chmod(0o755)
    environment = {
        "PATH": os.pathsep.join([str(driver.parent), os.environ["PATH"]]),
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(SCRIPTS),
        "HF_TOKEN": "hf_canary",
        "MY_WANDB_API_KEY": "canary-key",
    }

    def run(lines, threads=1, resources="{}"):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                SNAKEMAKE.format(threads=threads, resources=resources) + lines,
            ],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, (tmp_path / "rule.log").read_text(encoding="utf-8")

    return run


def test_noise_of_libraries_and_of_children_is_in_the_log_alone(run):
    code, screen, log = run(
        "import os, subprocess, sys, warnings\n"
        "print('Failed to load _C_cutlass')\n"
        "print('kernels hint', file=sys.stderr)\n"
        "warnings.warn('old')\n"
        "os.write(2, b'from C\\n')\n"
        "subprocess.run(['echo', 'from a child'])\n"
        "import logging; logging.getLogger('slimspeech.x').info('42 rows')"
    )
    assert (code, screen) == (0, "")
    for noise in ("_C_cutlass", "kernels hint", "UserWarning: old", "from C", "from a child"):
        assert noise in log
    assert "INFO slimspeech.x: 42 rows" in log


def test_a_record_begins_a_line_after_a_bar(run):
    _, _, log = run(
        "import sys; sys.stderr.write(' 12%|#  | 3/25')\n"
        "from slimspeech.errors import InputError\nraise InputError('a.wav: no such file')"
    )
    assert log.splitlines()[-1].endswith("CRITICAL root: a.wav: no such file")
    assert log.splitlines()[-2] == " 12%|#  | 3/25"


def test_libraries_have_the_threads_of_the_rule(run):
    import_torch = "import torch; print(torch.get_num_threads())"
    assert run(import_torch, threads=3)[2] == "3\n"


@pytest.mark.parametrize("resources, gpu", [("{'gpu': 1}", "GPU-aa11"), ("{}", "")])
def test_a_gpu_is_seen_where_the_rule_asks_for_one_alone(run, resources, gpu):
    """Another job may have filled it."""
    shown = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'))"
    assert run(shown, resources=resources)[2] == f"{gpu}\n"


def test_blocks_of_gpu_memory_can_grow_of_jobs_with_a_gpu(run):
    shown = "import os; print(os.environ.get('PYTORCH_ALLOC_CONF'))"
    assert run(shown, resources="{'gpu': 1}")[2] == "expandable_segments:True\n"
    assert run(shown)[2] == "None\n"


def test_what_the_user_can_fix_is_one_line(run):
    code, _, log = run(
        "from slimspeech.errors import InputError\nraise InputError('a.wav: no such file')"
    )
    assert code == 1
    assert log.count("\n") == 1 and log.endswith("a.wav: no such file\n")


def test_any_other_error_has_its_traceback(run):
    code, _, log = run("1 / 0")
    assert code == 1
    assert "Traceback" in log and "ZeroDivisionError: division by zero" in log


def test_log_of_the_last_run_is_replaced(run):
    run("1 / 0")
    assert "ZeroDivisionError" not in run("")[2]


def test_secrets_are_in_no_record_and_in_no_traceback(run, tmp_path):
    code, _, log = run(
        "import logging\n"
        "logging.warning('with %s and canary-key', 'hf_canary')\n"
        "raise OSError('no answer from http://me:canary@127.0.0.1:9/api')"
    )
    assert code == 1
    assert "with (HF_TOKEN) and (MY_WANDB_API_KEY)" in log
    assert "OSError: no answer from http://127.0.0.1:9/api" in log
    assert "canary" not in log.replace(f"{tmp_path}", "")


def starts(script):
    text = (SCRIPTS / script).read_text(encoding="utf-8")
    return text.split('"""\n', 1)[1].startswith(
        "\nfrom slimspeech.job import start\n\nstart(snakemake)\n"
    )


def test_every_script_of_a_rule_starts_its_job_first():
    """Those that run in another environment are called by command line, with a log of their own."""
    by_command_line = {"show_results.py", "run_vllm.py", "measure_engine_cost.py"}
    by_command_line |= {"convert_gguf.py", "run_llama_cpp.py"}
    by_command_line |= {name for name in os.listdir(SCRIPTS) if "comet" in name}
    scripts = {path.name for path in SCRIPTS.glob("*.py")} - by_command_line
    assert [script for script in sorted(scripts) if not starts(script)] == []
