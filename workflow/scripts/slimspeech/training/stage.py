"""A training from manifests to a model or an adapter on disk, in one process or in several."""

import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from slimspeech.artifacts import read_jsonl, write_directory, write_jsonl
from slimspeech.errors import InputError
from slimspeech.logs import start_records
from slimspeech.models.loading import load_model, load_processor, save_model
from slimspeech.models.prompts import Prompt
from slimspeech.processes import end_with_parent
from slimspeech.quantization.nf4 import nf4
from slimspeech.systems import DATA_PARTS
from slimspeech.training import trainer
from slimspeech.training.distillation import read_mix
from slimspeech.training.fine_tuning import add_adapter, fine_tune, save_adapter
from slimspeech.training.gpu_memory import warn_about_memory
from slimspeech.training.ranks import ALONE, OutOfMemory, Ranks
from slimspeech.training.settings import LoraSettings, TrainingSettings

log = logging.getLogger(__name__)

SCRIPTS = Path(__file__).parents[2]
# What a process says that lost another one in the middle of a sum, or that the launcher ended then.
LOST = (
    "DistBackendError",
    "DistNetworkError",
    "Connection closed",
    "Connection reset",
    "gloo",
    "SIGTERM",
)


@dataclass(frozen=True)
class Stage:
    """What the rule of a training asks for; all of it can be written as JSON.

    manifests: paths by the names in the mix. training, lora: sections of the config; lora is None
    where all weights are trained. workers: processes that read clips, for all GPUs together.
    output: the directory of the model, or of the adapter.
    """

    model: str
    manifests: Mapping[str, str]
    validation: str
    mix: Mapping[str, int]
    prompt: Mapping[str, Any]
    languages: Mapping[str, str]
    training: Mapping[str, Any]
    lora: Mapping[str, Any] | None
    seed: int
    workspace: str
    workers: int
    output: str
    curve: str

    @classmethod
    def of(cls, job: Any, output: str, lora: Mapping[str, Any] | None = None) -> "Stage":
        """The stage of a rule. job: the object that Snakemake gives the rule's script."""
        return cls(
            model=job.input.model,
            manifests={part: job.input[part] for part in DATA_PARTS if job.params.mix.get(part)},
            validation=job.input.validation,
            mix=job.params.mix,
            prompt=job.params.prompt,
            languages=job.params.languages,
            training=job.params.training,
            lora=lora,
            seed=job.params.seed,
            workspace=job.params.workspace,
            workers=job.threads - 1,
            output=output,
            curve=job.output.curve,
        )


def run_stage(stage: Stage) -> None:
    """Train with as many processes as the config says.

    Raises what the training raises; of several processes, what the first that failed raised.
    """
    count = TrainingSettings(**stage.training).gpus
    if count == 1:
        train(stage, ALONE)
    else:
        launch(stage, count)


def train(stage: Stage, ranks: Ranks, micro_batch: int | None = None) -> None:
    """Train in this process, beside the others."""
    settings = TrainingSettings(**stage.training)
    lora = None if stage.lora is None else LoraSettings(**stage.lora)
    rows = read_mix(stage.manifests, stage.mix)
    if ranks.first:
        warn_about_memory(stage.model, rows, settings, lora)
    processor = load_processor(stage.model)
    if settings.shard:
        from slimspeech.training import sharding  # slow to import

        model = sharding.load_share(stage.model, settings.weights, ranks)
    elif lora is None:
        model = load_model(stage.model, settings.weights)
    else:
        model = load_model(stage.model, torch.bfloat16, quantization=nf4())
        model = add_adapter(model, lora, seed=stage.seed)
    curve = fine_tune(
        model,
        processor,
        rows,
        read_jsonl(stage.validation),
        Prompt.of(stage.prompt, stage.languages),
        settings,
        seed=stage.seed,
        workspace=stage.workspace,
        workers=stage.workers // ranks.count,
        ranks=ranks,
        micro_batch=micro_batch,
    )
    if settings.shard:
        model = sharding.whole(model, stage.model, ranks)
    if ranks.first:
        if lora is None:
            save_model(model.to(torch.bfloat16), processor, stage.output)
        else:
            write_directory(stage.output, partial(save_adapter, model))
        write_jsonl(stage.curve, curve)


def launch(stage: Stage, count: int) -> None:
    """Train in so many processes of this machine, one a GPU. One that ends early ends all.

    Raises InputError for fewer GPUs, unless there is none: then the processes share the CPU.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < count:
        raise InputError(
            f"training.gpus is {count} and the job sees {torch.cuda.device_count()}; lower it, or "
            "tell Snakemake of more (--resources gpu=N)"
        )
    micro_batch = stage.training["batch_size"]
    while True:
        try:
            _run_processes(stage, count, micro_batch)
            return
        except OutOfMemory as error:
            micro_batch = int(str(error))
            log.warning("all processes start again, from the last checkpoint if there is one")


def _run_processes(stage: Stage, count: int, micro_batch: int) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # slow to import
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    paths = [str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        virtual_local_rank=torch.cuda.is_available(),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stage.json")
        path.write_text(json.dumps(asdict(stage)), encoding="utf-8")
        try:
            elastic_launch(config, sys.executable)("-m", __name__, str(path), str(micro_batch))
        except ChildFailedError as error:
            raise _cause(error.failures) from None


def _cause(failures: Mapping[int, Any]) -> Exception:
    """The error of the process that failed by itself; others fail because they lost it.

    failures: by the number of the process, as torch reports them.
    """
    messages = {}
    for number, failure in failures.items():
        message = failure.message
        messages[number] = message["message"] if isinstance(message, dict) else message
    own = [n for n, text in messages.items() if not any(word in text for word in LOST)]
    number = min(own or messages, key=lambda n: (failures[n].timestamp, n))
    name, _, text = messages[number].partition(": ")
    for kind in (InputError, OutOfMemory):
        if name == kind.__name__:
            return kind(text)
    return RuntimeError(f"process {number} of {len(failures)} failed: {messages[number]}")


def main() -> None:
    """A process of launch(), which inherits the log."""
    # Or it would train on, on its GPU, where no signal tells that the job was killed.
    end_with_parent(signal.SIGKILL)
    path, micro_batch = sys.argv[1:]
    ranks = Ranks.join()
    # What all would say, the first one says.
    start_records(logging.INFO if ranks.first else logging.ERROR)
    trainer.log.setLevel(logging.INFO if ranks.first else logging.WARNING)
    train(Stage(**json.loads(Path(path).read_text(encoding="utf-8"))), ranks, int(micro_batch))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    from torch.distributed.elastic.multiprocessing.errors import record

    record(main)()  # which tells launch() the reason of a failure
