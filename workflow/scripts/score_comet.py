"""Score one system's translations of the test set by a COMET metric, in COMET's environment."""

import argparse

from slimspeech.job import start_job

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--checkpoint", required=True, help="comet/{metric}.json")
parser.add_argument("--hypotheses", required=True, help="hypotheses.jsonl of the system")
parser.add_argument("--test", required=True, help="the manifest that it translated")
parser.add_argument("--pair", required=True)
parser.add_argument("--system", required=True)
parser.add_argument("--batch-size", required=True, type=int, help="segments")
parser.add_argument("--threads", required=True, type=int)
parser.add_argument("--segments", required=True, help="output: a row a segment")
parser.add_argument("--score", required=True, help="output: the mean, and of each talk")
parser.add_argument("--log", required=True)
arguments = parser.parse_args()
start_job(arguments.log, threads=arguments.threads, gpus=1)

from slimspeech.artifacts import read_json, read_jsonl, write_json, write_jsonl
from slimspeech.evaluation.comet.checkpoints import Checkpoint
from slimspeech.evaluation.comet.scores import score_segments, summarize

checkpoint = Checkpoint(**read_json(arguments.checkpoint))
segments = read_jsonl(arguments.test)
hypotheses = read_jsonl(arguments.hypotheses)
rows = score_segments(checkpoint, hypotheses, segments, arguments.batch_size)

write_jsonl(arguments.segments, rows)
summary = summarize(checkpoint, rows, segments)
write_json(arguments.score, {"pair": arguments.pair, "system": arguments.system} | summary)
