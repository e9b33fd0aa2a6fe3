"""Find the checkpoint of a COMET metric, fetch it from the Hub if it is there, and check it."""

import argparse

from slimspeech.job import start_job

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--metric", required=True, help="its name in evaluation.comet")
parser.add_argument("--model", required=True, help="an id on the Hub, or a path")
parser.add_argument("--revision", required=True, help="commit, branch or tag on the Hub")
parser.add_argument("--trusted", required=True, choices=["True", "False"])
parser.add_argument("--output", required=True, help="comet/{metric}.json")
parser.add_argument("--log", required=True)
arguments = parser.parse_args()
start_job(arguments.log)

from dataclasses import asdict

from slimspeech.artifacts import write_json
from slimspeech.evaluation.comet.checkpoints import Settings, find_checkpoint

settings = Settings(
    metric=arguments.metric,
    model=arguments.model,
    revision=arguments.revision,
    trusted=arguments.trusted == "True",
)
write_json(arguments.output, asdict(find_checkpoint(settings)))
