"""How much of what an adapter learned is left after it was merged and the model packed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from tqdm import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.models.collation import IGNORED, Collator, window_seconds
from slimspeech.models.decoder import head
from slimspeech.models.loading import (
    compute_in,
    device,
    load_for_inference,
    load_model,
    load_processor,
)
from slimspeech.models.precision import resolve_precision
from slimspeech.models.prompts import Prompt
from slimspeech.models.validation.directory import check_adapter
from slimspeech.quantization.nf4 import nf4

logger = logging.getLogger(__name__)

ENOUGH = 90  # percent of the effect
BATCH = 4  # clips


@dataclass(frozen=True)
class Forms:
    """Directories: the model that an adapter was trained on, in bfloat16; the adapter; the model
    with it merged, None if it is not; and the packed model."""

    start: str | Path
    adapter: str | Path
    merged: str | Path | None
    packed: str | Path


def measure_packing(forms: Forms, rows: Sequence[Row], prompt: Prompt) -> Row:
    """The loss of each form on validation rows, and the percentage of the adapter's gain left.

    "segments"; "loss": in nats a token of the first model, of `start` (in 4 bits, as in training),
    `trained` (with the adapter), `merged` and `packed`; "left_percent": of the gain from start to
    trained, in `merged` and `packed`. An adapter that is kept has no `merged`. None without rows;
    left_percent is None without a gain too. A warning says if less than ENOUGH is left after
    packing. Clips beyond the model's window are left out, as in training.
    """
    processor = load_processor(forms.start)
    window = window_seconds(processor)
    rows = [row for row in rows if row["duration"] <= window]
    if not rows:
        logger.warning("no validation data: what packing leaves of the adapter is not known")
        return {"segments": 0, "loss": None, "left_percent": None}
    loss = _losses_in_training(forms, processor, rows, prompt)
    made = {"merged": forms.merged, "packed": forms.packed}
    made = {name: directory for name, directory in made.items() if directory}
    for name, directory in made.items():
        model = load_for_inference(directory, "auto")
        loss[name] = _answer_loss(model, load_processor(directory), rows, prompt, name)
        del model
    tokens = _count_tokens(processor, rows)
    loss = {name: total / tokens for name, total in loss.items()}
    gain = loss["start"] - loss["trained"]
    left = None
    if gain > 0:
        left = {name: 100 * (loss["start"] - loss[name]) / gain for name in made}
        _warn(left["packed"])
    return {"segments": len(rows), "loss": loss, "left_percent": left}


def _losses_in_training(
    forms: Forms, processor: ProcessorMixin, rows: Sequence[Row], prompt: Prompt
) -> dict[str, float]:
    """Of the 4-bit model that the adapter was trained on, without the adapter and with it."""
    check_adapter(forms.adapter)
    precision = resolve_precision("auto", device())
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = load_model(forms.start, dtype, nf4())
    compute_in(model, dtype)
    loss = {"start": _answer_loss(model, processor, rows, prompt, "start")}
    PeftModel.from_pretrained(model, forms.adapter)  # puts its layers into the model itself
    loss["trained"] = _answer_loss(model.eval(), processor, rows, prompt, "trained")
    return loss


@torch.inference_mode()
def _answer_loss(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    prompt: Prompt,
    name: str,
) -> float:
    """Cross entropy of all tokens of the answers with the end of the turn, in nats, in all."""
    collate, total = Collator(processor, prompt), 0.0
    longest_first = sorted(rows, key=lambda row: -row["duration"])
    for start in tqdm(range(0, len(rows), BATCH), desc=f"Loss, {name}"):
        batch = {
            key: value.to(model.device, model.dtype if value.is_floating_point() else None)
            for key, value in collate(longest_first[start : start + BATCH]).items()
        }
        labels = batch.pop("labels")[:, 1:]
        answers = labels != IGNORED
        states = model.model(**batch, use_cache=False).last_hidden_state
        logits = head(model, states[:, :-1][answers]).float()
        total += torch.nn.functional.cross_entropy(logits, labels[answers], reduction="sum").item()
    return total


def _count_tokens(processor: ProcessorMixin, rows: Sequence[Row]) -> int:
    """Tokens of the answers, with the end of the turn."""
    answers = [row["target"].strip() for row in rows]
    encoded = processor.tokenizer(answers, add_special_tokens=False).input_ids
    return sum(len(ids) + 1 for ids in encoded)


def _warn(left: float) -> None:
    if left < ENOUGH:
        logger.warning(
            "%.0f %% of what the adapter gained is left after packing: 4 bits round small changes "
            "away; set students.*.merge: original or keep, or train with a higher learning rate",
            left,
        )
