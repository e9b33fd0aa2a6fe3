"""Measure the speed of vLLM with an export, in vLLM's own environment."""

import argparse
import os

from slimspeech.job import start_job

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="directory of an export")
parser.add_argument("--requests", required=True, help="requests.jsonl")
parser.add_argument("--clips", required=True, type=int, help="how many of the requests")
parser.add_argument("--precision", required=True, choices=("bf16", "fp32"))
parser.add_argument("--repeats", required=True, type=int)
parser.add_argument("--batch-sizes", required=True, type=int, nargs="+")
parser.add_argument("--threads", required=True, type=int)
parser.add_argument("--cost", required=True, help="output")
parser.add_argument("--log", required=True)
arguments = parser.parse_args()
start_job(arguments.log, threads=arguments.threads, gpus=1)

from slimspeech.artifacts import read_jsonl, write_json
from slimspeech.engines.vllm import SETTINGS
from slimspeech.engines.vllm_cost import measure_vllm

if __name__ == "__main__":  # vLLM starts processes that import this file
    os.environ.update(SETTINGS | os.environ)
    cost = measure_vllm(
        arguments.model,
        read_jsonl(arguments.requests)[: arguments.clips],
        arguments.precision,
        repeats=arguments.repeats,
        batch_sizes=arguments.batch_sizes,
        threads=arguments.threads,
    )
    write_json(arguments.cost, cost)
