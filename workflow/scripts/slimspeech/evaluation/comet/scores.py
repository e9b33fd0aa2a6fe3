"""Score translations by a COMET metric. Only this module imports `comet`, and only when called.

COMET needs packages too old for the rest of the project, so its rules run in their own environment.
"""

import logging
import math
import os
import pickle
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from statistics import fmean
from typing import Any

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.evaluation.comet.checkpoints import Checkpoint, first_line
from slimspeech.evaluation.metrics import align, talks_of

logger = logging.getLogger(__name__)


def score_segments(
    checkpoint: Checkpoint, hypothesis_rows: Sequence[Row], segments: Sequence[Row], batch_size: int
) -> list[Row]:
    """One row per segment, in the manifest's order: id and COMET's score.

    The source is the transcript. Raises InputError if the rows do not match, the checkpoint cannot
    be loaded or lacks weights, or a score is not a finite number.
    """
    [rows] = score_variants(checkpoint, [hypothesis_rows], segments, batch_size)
    return rows


def score_layers(
    checkpoint: Checkpoint, hypothesis_rows: Sequence[Row], segments: Sequence[Row], batch_size: int
) -> list[Row]:
    """As score_segments(), for a layer search: each hypothesis names the layer left out.

    Rows: layer, id, metric, score; layer by layer in the order of the hypotheses.
    """
    by_layer: dict[int, list[Row]] = {}
    for row in hypothesis_rows:
        by_layer.setdefault(row["layer"], []).append(row)
    scored = score_variants(checkpoint, list(by_layer.values()), segments, batch_size)
    return [
        {"layer": layer, "id": row["id"], "metric": checkpoint.metric, "score": row["score"]}
        for layer, rows in zip(by_layer, scored, strict=True)
        for row in rows
    ]


def score_variants(
    checkpoint: Checkpoint,
    variants: Sequence[Sequence[Row]],
    segments: Sequence[Row],
    batch_size: int,
) -> list[list[Row]]:
    """score_segments() of each of several translations, with the model loaded once."""
    samples = []
    for hypothesis_rows in variants:
        hypotheses, references = align(hypothesis_rows, segments)
        samples += [
            {"src": row["source"], "mt": hypothesis}
            | ({"ref": reference} if checkpoint.needs_reference else {})
            for row, hypothesis, reference in zip(segments, hypotheses, references, strict=True)
        ]
    scores = predict(load(checkpoint), samples, batch_size, checkpoint.metric)
    ids = [row["id"] for row in segments]
    rows = [
        {"id": key, "score": score} for key, score in zip(ids * len(variants), scores, strict=True)
    ]
    if broken := [row["id"] for row in rows if not math.isfinite(row["score"])]:
        raise InputError(
            f"{checkpoint.checkpoint}: {len(broken)} of {len(rows)} scores are not finite numbers "
            f"({', '.join(broken[:5])}); the checkpoint is damaged or overflows: download it again "
            f"or give another as evaluation.comet.{checkpoint.metric}.model"
        )
    return [rows[start : start + len(ids)] for start in range(0, len(rows), len(ids))]


def summarize(checkpoint: Checkpoint, rows: Sequence[Row], segments: Sequence[Row]) -> Row:
    """The mean of all segments and of each talk, in the manifest's order, and the metric's data."""
    scores = [row["score"] for row in rows]
    return {
        "metric": checkpoint.metric,
        "model": checkpoint.model,
        "revision": checkpoint.revision,
        "class": checkpoint.class_name,
        "needs_reference": checkpoint.needs_reference,
        "segments": len(scores),
        "score": fmean(scores),
        "talks": {
            talk: {"segments": len(indices), "score": fmean(scores[index] for index in indices)}
            for talk, indices in talks_of(segments).items()
        },
        "signature": signature(checkpoint),
    }


def signature(checkpoint: Checkpoint) -> str:
    """What to cite with a score, in the format of sacreBLEU's signatures."""
    parts = {
        "nrefs": int(checkpoint.needs_reference),
        "model": checkpoint.model,
        "revision": checkpoint.revision.removeprefix("sha256:")[:12],
        "class": checkpoint.class_name,
        "version": version("unbabel-comet"),
    }
    return "|".join(f"{key}:{value}" for key, value in parts.items())


def load(checkpoint: Checkpoint) -> Any:
    """COMET's model, in evaluation mode on the CPU; nothing is downloaded.

    Raises InputError if the file cannot be read as its class, or lacks weights; COMET itself would
    initialise missing weights at random.
    """
    # Set before huggingface_hub is imported, which reads it once. An earlier rule has downloaded
    # all files, so that a node of a cluster needs no network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    safe, unsafe = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    for name in (safe, unsafe):
        os.environ.pop(name, None)
    os.environ[unsafe if checkpoint.trusted else safe] = "1"
    import torch
    from comet import load_from_checkpoint

    path = checkpoint.checkpoint
    try:
        model = load_from_checkpoint(path, local_files_only=True)
        mmap = zipfile.is_zipfile(path)  # not possible in the format of torch before 1.6
        weights = torch.load(path, map_location="cpu", mmap=mmap)["state_dict"]
    except Exception as error:  # COMET, torch and tokenizers raise many kinds
        if isinstance(error, pickle.UnpicklingError):
            advice = f"if you trust it, set evaluation.comet.{checkpoint.metric}.trusted: true"
        else:
            advice = "download it again (`snakemake -R fetch_comet`) or name another checkpoint"
        raise InputError(
            f"{path}: cannot be loaded as COMET's {checkpoint.class_name} "
            f"({type(error).__name__}: {first_line(error)}); {advice}"
        ) from error
    missing = [name for name, _ in model.named_parameters() if name not in weights]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} weights of a {checkpoint.class_name} are not in it "
            f"({', '.join(missing[:3])}, …); it is incomplete, or its class is not that of its "
            "hparams.yaml: download it again or correct hparams.yaml"
        )
    return model


def predict(model: Any, samples: list[dict[str, str]], batch_size: int, metric: str) -> list[float]:
    """The score of each sample, in order; on the GPU if there is one.

    Raises InputError if the GPU's memory is too small for the batch.
    """
    import torch

    # Lightning would wait for as many processes as this says, but this job has one.
    os.environ.pop("SLURM_NTASKS", None)
    gpus = int(torch.cuda.is_available())
    logger.info("%d segments on %s", len(samples), "the GPU" if gpus else "the CPU")
    try:
        prediction = model.predict(samples, batch_size=batch_size, gpus=gpus, num_workers=0)
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"the GPU's memory is too small for {batch_size} segments at once; lower "
            f"evaluation.comet.{metric}.batch_size"
        ) from error
    return prediction["scores"]
