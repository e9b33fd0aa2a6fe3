"""Score by COMET what the search translated without each layer, in COMET's environment."""

import argparse

from slimspeech.job import start_job

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--checkpoint", required=True, help="comet/{metric}.json")
parser.add_argument("--hypotheses", required=True, help="hypotheses.jsonl of an iteration")
parser.add_argument("--segments", required=True, help="the manifest that was translated")
parser.add_argument("--batch-size", required=True, type=int, help="segments")
parser.add_argument("--threads", required=True, type=int)
parser.add_argument("--scores", required=True, help="output: a row a layer and segment")
parser.add_argument("--log", required=True)
arguments = parser.parse_args()
start_job(arguments.log, threads=arguments.threads, gpus=1)

from slimspeech.artifacts import read_json, read_jsonl, write_csv
from slimspeech.evaluation.comet.checkpoints import Checkpoint
from slimspeech.evaluation.comet.scores import score_layers

rows = score_layers(
    Checkpoint(**read_json(arguments.checkpoint)),
    read_jsonl(arguments.hypotheses),
    read_jsonl(arguments.segments),
    arguments.batch_size,
)
write_csv(arguments.scores, rows)
