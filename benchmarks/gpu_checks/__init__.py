"""The steps of check_gpu.py, one module each."""
