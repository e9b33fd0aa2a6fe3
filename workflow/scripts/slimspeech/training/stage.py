"""A training from manifests to a model or an adapter on disk, in one process or in several."""

import json
import logging
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
from slimspeech.training.launching import run_here, run_on_nodes
from slimspeech.training.ranks import ALONE, OutOfMemory, Ranks
from slimspeech.training.settings import LoraSettings, TrainingSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """What the rule of a training asks for; all of it can be written as JSON.

    manifests: paths by the names in the mix. training, lora: sections of the config; lora is None
    where all weights are trained. workers: processes that read clips, for each GPU.
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
        settings = TrainingSettings(**job.params.training)
        # On one node the processes share the job's threads; on several each is a task with its own.
        sharing = settings.gpus if settings.nodes == 1 else 1
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
            workers=(job.threads - 1) // sharing,
            output=output,
            curve=job.output.curve,
        )


def run_stage(stage: Stage) -> None:
    """Train with as many processes as the config says.

    Raises what the training raises; of several processes, what the first that failed raised.
    """
    settings = TrainingSettings(**stage.training)
    if settings.gpus == 1:
        train(stage, ALONE)
    else:
        launch(stage, settings)


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
        workers=stage.workers,
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


def launch(stage: Stage, settings: TrainingSettings) -> None:
    """Train in a process for each GPU. Where memory runs out in all, they start again."""
    micro_batch = settings.batch_size
    while True:
        try:
            _run_processes(stage, settings, micro_batch)
            return
        except OutOfMemory as error:
            micro_batch = int(str(error))
            log.warning("all processes start again, from the last checkpoint if there is one")


def _run_processes(stage: Stage, settings: TrainingSettings, micro_batch: int) -> None:
    nodes, count = settings.nodes, settings.gpus
    # All nodes see the results, and not what is temporary on one.
    beside = Path(stage.workspace).parent if nodes > 1 else None
    if beside:
        beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="processes-", dir=beside) as name:
        folder = Path(name).resolve()
        path = folder / "stage.json"
        path.write_text(json.dumps(asdict(stage)), encoding="utf-8")
        arguments = [str(path), str(micro_batch)]
        if nodes == 1:
            run_here(__name__, arguments, count)
        else:
            run_on_nodes(__name__, arguments, count, nodes, stage.workers + 1, folder)


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
