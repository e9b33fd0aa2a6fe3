"""A step of full fine-tuning: fine_tune() against HF's Trainer on the window's padding."""

import tempfile
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import harness
import published_search
import torch
from harness import PROMPT
from transformers import PreTrainedModel, ProcessorMixin, Trainer, TrainingArguments

from slimspeech.artifacts import Row
from slimspeech.data.audio import read_audio
from slimspeech.errors import InputError
from slimspeech.families.qwen2_audio import FAMILY
from slimspeech.training.fine_tuning import TrainingSettings, fine_tune

SEED = 0
LOGGED = 10  # steps of a mean loss of fine_tune()
# Largest difference of equal mean losses, in nats per token. The attention is computed in another
# way, and rounding errors accumulate over the steps.
EQUAL = {"fp32": 1e-3, "bf16": 2e-2}


class PlainCollator:
    """Prompts and answers with audio features of the whole window; the loss is on the answers."""

    def __init__(self, processor: ProcessorMixin):
        self.processor = processor

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        rate = self.processor.feature_extractor.sampling_rate
        answers = [row["target"].strip() + FAMILY.end_of_turn for row in rows]
        batch = self.processor(
            text=[
                PROMPT.render(self.processor, row["pair"]) + answer
                for row, answer in zip(rows, answers, strict=True)
            ],
            audio=[read_audio(row["audio"], rate) for row in rows],
            sampling_rate=rate,
            padding=True,
            padding_side="right",
            return_tensors="pt",
        )
        labels = torch.full_like(batch["input_ids"], -100)
        ends = batch["attention_mask"].sum(-1).tolist()
        for number, (end, answer) in enumerate(zip(ends, answers, strict=True)):
            start = end - len(self.processor.tokenizer(answer).input_ids)
            labels[number, start:end] = batch["input_ids"][number, start:end]
        return {**batch, "labels": labels}


class SameBatchesTrainer(Trainer):
    """HF's Trainer on the batches of fine_tune(), so that the losses can be compared."""

    def _get_train_sampler(self, train_dataset=None):
        return harness.batches_of_fine_tune(
            self.train_dataset, self.args.train_batch_size, self.args.seed, FAMILY
        )


def train_plainly(
    trainer: type[Trainer],
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: list[Row],
    settings: TrainingSettings,
    workspace: str,
) -> list[float]:
    """Train as fine_tune() would, with transformers alone; returns the logged losses."""
    running = trainer(
        model=model,
        train_dataset=rows,
        data_collator=PlainCollator(processor),
        args=TrainingArguments(
            output_dir=workspace,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            per_device_train_batch_size=settings.batch_size,
            lr_scheduler_type=settings.scheduler,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            bf16=settings.precision == "bf16",
            use_cpu=not torch.cuda.is_available(),
            remove_unused_columns=False,
            save_strategy="no",
            logging_steps=LOGGED,
            report_to="none",
            seed=SEED,
        ),
    )
    running.train()
    return [entry["loss"] for entry in running.state.log_history if "loss" in entry]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = harness.make_parser(__doc__, clips=320)
    parser.add_argument("--steps", type=harness.positive, default=40, help="a multiple of 10")
    parser.add_argument("--batch-size", type=harness.positive, default=8, help="of both sides")
    parser.add_argument("--learning-rate", type=float, default=1.5e-4, help="of both sides")
    options = parser.parse_args(arguments)
    if options.steps % LOGGED or options.clips % options.batch_size:
        raise InputError("--steps is a multiple of 10, --clips a multiple of --batch-size")
    torch.set_num_threads(options.threads)
    processor, segments = harness.load_inputs(options, options.clips)
    # The weights are float32 on both sides, as in the workflow; bf16 means autocast.
    model = published_search.load_plain(options.model, "fp32")

    def settings(rows: Sequence[Row]) -> TrainingSettings:
        steps = options.steps if len(rows) == len(segments) else 1
        return harness.plain_training(
            epochs=steps * options.batch_size / len(rows),
            learning_rate=options.learning_rate,
            batch_size=options.batch_size,
            precision=options.precision,
        )

    def ours(rows):
        with tempfile.TemporaryDirectory() as folder:
            curve = fine_tune(
                deepcopy(model),
                processor,
                list(rows),
                [],
                PROMPT,
                settings(rows),
                seed=SEED,
                workspace=f"{folder}/workspace",
            )
        return [entry["loss"] for entry in curve]

    def plainly(trainer):
        def run(rows):
            with tempfile.TemporaryDirectory() as folder:
                return train_plainly(
                    trainer, deepcopy(model).train(), processor, list(rows), settings(rows), folder
                )

        return run

    works = {
        "fine_tune()": ours,
        "HF Trainer, its own order": plainly(Trainer),
        "HF Trainer, the same batches": plainly(SameBatchesTrainer),
    }
    timings = harness.compare(works, segments, repeats=options.repeats, warm_up=options.batch_size)
    losses = timings["fine_tune()"].value
    same = timings["HF Trainer, the same batches"].value
    difference = max(abs(a - b) for a, b in zip(losses, same, strict=True))
    lines = [
        [
            name,
            f"{1000 * timing.median / options.steps:.0f}",
            *timing.cells(timings["fine_tune()"]),
            f"{sum(timing.value) / len(timing.value):.4f}",
        ]
        for name, timing in timings.items()
    ]
    head = ["", "ms a step", "seconds", "lowest–highest", "ratio", "mean loss"]
    verdict = "equal" if difference <= EQUAL[options.precision] else "NOT equal"
    harness.report(
        "Training step",
        [
            f"{options.steps} steps of {options.batch_size} clips",
            f"{options.precision}, median of {options.repeats}, start of the trainer included",
        ],
        harness.table(head, lines),
        f"Losses on the same batches are {verdict}: means of {LOGGED} steps differ by "
        f"{difference:.1e} at most ({EQUAL[options.precision]:g} allowed).",
    )


if __name__ == "__main__":
    harness.run(main)
