import os
import subprocess
import sys


def test_loading_models_imports_no_compiler():
    """bitsandbytes would bring it, and each job would start later."""
    code = "import sys, slimspeech.models.loading; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "bitsandbytes" in done.stdout.split()
    assert "torch._inductor.compile_fx" not in done.stdout.split()
