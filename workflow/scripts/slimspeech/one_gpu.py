"""Importing this takes one of the machine's GPUs for the process (see gpu.py).

A script imports it before all that may look for a GPU, which the order of imports sees to.
"""

import os

from slimspeech.gpu import take_one

take_one(os.environ)
