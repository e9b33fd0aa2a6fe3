"""Let vLLM answer a file of requests with an exported model, in vLLM's own environment."""

import argparse

from slimspeech.job import start_job

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="directory of an export")
parser.add_argument("--requests", required=True, help="requests.jsonl")
parser.add_argument("--precision", required=True, choices=("bf16", "fp32"))
parser.add_argument("--threads", required=True, type=int)
parser.add_argument("--answers", required=True, help="output: an answer a request")
parser.add_argument("--engine", required=True, help="output: what ran")
parser.add_argument("--log", required=True)
arguments = parser.parse_args()
start_job(arguments.log, threads=arguments.threads, gpus=1)

from slimspeech.artifacts import write_json
from slimspeech.engines.vllm import run_batch

engine = run_batch(
    arguments.model, arguments.requests, arguments.answers, arguments.precision, arguments.log
)
write_json(arguments.engine, engine)
