"""Write a student's export for llama.cpp, in the environment of its converter."""

import argparse

from slimspeech.job import start_job

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="directory of an export in bfloat16")
parser.add_argument("--target", required=True, help="output: directory of the GGUF files")
parser.add_argument("--log", required=True)
arguments = parser.parse_args()
start_job(arguments.log)

from slimspeech.engines.gguf import convert

convert(arguments.model, arguments.target)
