"""Processes that train together, forked from one that has imported the library."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from types import SimpleNamespace

import torch
from project import REPOSITORY

from slimspeech.processes import free_port
from slimspeech.training import stage as stages
from slimspeech.training.launching import cause
from slimspeech.training.ranks import Ranks
from slimspeech.training.settings import TrainingSettings
from slimspeech.training.trainer import UpdateTrainer

SCRIPTS = REPOSITORY / "workflow" / "scripts"
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["slimspeech.training.sharding", "slimspeech.training.stage"])


def in_processes(first: Callable[[int], None] | None = None) -> Callable[..., None]:
    """A _run_processes() of the stage module, without torch's launcher.

    first: what each process does before it trains, called with its number.
    """

    def run(stage: stages.Stage, settings: TrainingSettings, micro_batch: int) -> None:
        count = settings.gpus
        port = free_port("127.0.0.1")
        failures = CONTEXT.SimpleQueue()
        os.environ["PYTHONPATH"] = str(SCRIPTS)  # of the process that forks
        processes = [
            CONTEXT.Process(
                target=_train, args=(stage, number, count, micro_batch, port, first, failures)
            )
            for number in range(count)
        ]
        for process in processes:
            process.start()
        while any(process.exitcode is None for process in processes):
            for process in processes:
                process.join(0.05)
                if process.exitcode:
                    _end(processes)
        messages = {n: f"Signal {-p.exitcode}" for n, p in enumerate(processes) if p.exitcode}
        while not failures.empty():
            messages |= [failures.get()]
        if messages:
            raise cause(
                {n: SimpleNamespace(message=text, timestamp=0) for n, text in messages.items()}
            )

    return run


def _end(processes) -> None:
    """As the launcher does when one has failed; those that lost it end by themselves first."""
    for process in processes:
        process.join(5)
        process.kill()
        process.join()


def _train(stage, number, count, micro_batch, port, first, failures) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(number), "WORLD_SIZE": str(count)}
    if first:
        first(number)
    try:
        stages.train(stage, Ranks.join(), micro_batch)
        torch.distributed.destroy_process_group()
    except Exception as error:
        failures.put((number, f"{type(error).__name__}: {error}"))
        raise


def second_dies_in_the_fourth_update(number: int) -> None:
    if number == 1:
        step = UpdateTrainer.training_step

        def step_or_die(self, *arguments, **options):
            if self.state.global_step == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, *arguments, **options)

        UpdateTrainer.training_step = step_or_die


def second_has_memory_for_one_clip(number: int) -> None:
    if number == 1:
        compute = UpdateTrainer.compute_loss

        def compute_one(self, model, inputs, *arguments, **options):
            if torch.is_grad_enabled() and len(inputs["labels"]) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return compute(self, model, inputs, *arguments, **options)

        UpdateTrainer.compute_loss = compute_one
