"""Let llama.cpp answer a file of requests with an export, in llama.cpp's own environment."""

import argparse

from slimspeech.job import start_job

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="directory of an export")
parser.add_argument("--form", required=True, help="such as Q8_0")
parser.add_argument("--requests", required=True, help="requests.jsonl")
parser.add_argument("--threads", required=True, type=int)
parser.add_argument("--answers", required=True, help="output: an answer a request")
parser.add_argument("--engine", required=True, help="output: what ran")
parser.add_argument("--log", required=True)
arguments = parser.parse_args()
start_job(arguments.log, threads=arguments.threads)

from slimspeech.artifacts import read_jsonl, write_json, write_jsonl
from slimspeech.engines.llama_cpp import answer, describe

requests = read_jsonl(arguments.requests)
write_jsonl(arguments.answers, answer(arguments.model, arguments.form, requests, arguments.threads))
write_json(arguments.engine, describe())
