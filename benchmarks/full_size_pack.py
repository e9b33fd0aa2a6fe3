"""Make, prune, trim, pack and run a Qwen2-Audio-7B of random weights and true shape.

Every step is a process of its own, so that its peak memory can be measured. Weights go through
memory one at a time. Only the last step needs memory for the model, in its packed form.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import full_size
import harness
import numpy as np
import torch
from harness import PROMPT
from peft import LoraConfig
from safetensors.torch import save_file
from tqdm import tqdm
from transformers import (
    AutoConfig,
    AutoProcessor,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2AudioForConditionalGeneration,
)

from slimspeech.artifacts import read_json, require_space, write_directory, write_json
from slimspeech.families.qwen2_audio import FAMILY
from slimspeech.models import checkpoints, shapes
from slimspeech.models.loading import load_for_inference, load_processor, read_config
from slimspeech.models.size import measure_size
from slimspeech.pruning.layers import prune_checkpoint
from slimspeech.quantization import bpe
from slimspeech.quantization.merge import merge_adapter
from slimspeech.quantization.pack import pack
from slimspeech.quantization.predicted_size import count_weights, predicted_bytes
from slimspeech.quantization.trim import named_tokens, saved_tokenizer, trim_model
from slimspeech.quantization.vocabulary import Texts, VocabularySettings, choose_vocabulary

# Directories and their formats.
PACKED = {
    "packed": "nf4",
    "smallest": {"embedding": "nf4", "head": "nf4"},
    "trimmed-packed": "nf4",
}
KEPT = 24  # of 32 layers
TOKENS, KEPT_TOKENS = 151_643, 20_000  # of Qwen's tokenizer
TINY_TOKENS, TINY_KEPT_TOKENS = 500, 384
PIECE = 2**24  # random numbers drawn at a time
RANK = 64
STD = 0.02


def make_processor(count: int) -> ProcessorMixin:
    """That of full_size.py with more tokens: of two bytes, then of three."""
    with tempfile.TemporaryDirectory() as folder:
        full_size.make_processor().save_pretrained(folder)
        path = Path(folder, bpe.FILE)
        settings = read_json(path)
        tokens, merges = settings["model"]["vocab"], settings["model"]["merges"]
        letters = list(bpe.byte_characters().values())
        pairs = itertools.product(letters, letters)
        triples = ((a + b, c) for a, b, c in itertools.product(letters, repeat=3))
        for parts in itertools.chain(pairs, triples):
            if len(tokens) == count:
                break
            if "".join(parts) not in tokens:
                tokens["".join(parts)] = len(tokens)
                merges.append(list(parts))
        # Added tokens are numbered behind the others.
        added = [token for token in settings["added_tokens"] if token["content"] not in tokens]
        for number, token in enumerate(added, start=len(tokens)):
            token["id"] = number
        write_json(path, settings)
        return AutoProcessor.from_pretrained(folder)


def make_teacher(folder: Path, tiny: bool) -> Path:
    """Initial weights of a model: norms of 1, biases of 0, and noise."""
    processor = make_processor(TINY_TOKENS if tiny else TOKENS)
    shape = full_size.TINY if tiny else FAMILY.full_size
    config = AutoConfig.for_model(FAMILY.model_type, **shape)
    config.audio_token_index = processor.audio_token_id
    config.architectures = ["Qwen2AudioForConditionalGeneration"]
    random = torch.Generator().manual_seed(0)

    def write(directory: Path) -> None:
        writer = checkpoints.ShardWriter(directory)
        for name, shape in tqdm(shapes.shapes(config).items(), desc="Make teacher"):
            weight = torch.zeros(shape, dtype=torch.bfloat16)
            if len(shape) > 1:
                for piece in weight.view(-1).split(PIECE):
                    piece.normal_(std=STD, generator=random)
            elif name.endswith("weight"):
                weight.fill_(1)
            writer.add(name, weight)
        writer.finish()
        checkpoints.write_config(config, directory)
        processor.save_pretrained(directory)

    require_space(folder, sum(predicted_bytes(config, "none").values()), "the teacher")
    write_directory(folder / "teacher", write)
    return folder / "teacher"


def prune(folder: Path, tiny: bool) -> Path:
    layers = 4 if tiny else 32
    kept = np.linspace(0, layers - 1, 3 if tiny else KEPT).round().astype(int).tolist()
    prune_checkpoint(folder / "teacher", folder / "pruned", kept)
    return folder / "pruned"


def make_adapter(folder: Path, tiny: bool) -> Path:
    """A random adapter on every linear layer but the output head, in fp32 as after training."""
    config = read_config(folder / "pruned")
    random = torch.Generator().manual_seed(1)
    shape_of, rank = shapes.shapes(config), 4 if tiny else RANK
    weights, targets = {}, set()
    for name, module in shapes.skeleton(config).named_modules():
        if not isinstance(module, torch.nn.Linear) or name == "lm_head":
            continue
        out, width = shape_of[FAMILY.stored_name(f"{name}.weight")]
        targets.add(name.rpartition(".")[2])
        for key, shape in (("lora_A", (rank, width)), ("lora_B", (out, rank))):
            matrix = torch.empty(shape).normal_(std=STD, generator=random)
            weights[f"base_model.model.{name}.{key}.weight"] = matrix
    adapter = folder / "adapter"
    adapter.mkdir(exist_ok=True)
    LoraConfig(
        r=rank, lora_alpha=2 * rank, use_rslora=True, target_modules=targets
    ).save_pretrained(adapter)
    save_file(weights, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    return adapter


def merge(folder: Path, tiny: bool) -> Path:
    merge_adapter(folder / "pruned", folder / "adapter", folder / "merged")
    return folder / "merged"


def trim(folder: Path, tiny: bool) -> Path:
    """The pruned model with fewer tokens: which, makes no difference to bytes and memory."""
    model = folder / "pruned"
    processor = load_processor(model)
    vocabulary = choose_vocabulary(
        saved_tokenizer(processor),
        named_tokens(model, processor, []),
        Texts([PROMPT.request("en-de")], [], []),
        VocabularySettings(TINY_KEPT_TOKENS if tiny else KEPT_TOKENS, []),
    )
    trim_model(model, folder / "trimmed", vocabulary)
    return folder / "trimmed"


def pack_as(name: str, source: str, folder: Path, tiny: bool) -> Path:
    pack(folder / source, folder / name, PACKED[name])
    return folder / name


def load_by_stock_classes(directory: Path) -> tuple[ProcessorMixin, PreTrainedModel]:
    """With nothing of this project."""
    model, report = Qwen2AudioForConditionalGeneration.from_pretrained(
        directory, dtype=torch.bfloat16, output_loading_info=True
    )
    if wrong := [keys for keys in report.values() if keys]:
        raise RuntimeError(f"{directory}: {wrong}")
    return AutoProcessor.from_pretrained(directory), model.eval()


def load(directory: Path) -> tuple[ProcessorMixin, PreTrainedModel]:
    return load_processor(directory), load_for_inference(str(directory), "bf16")


Load = Callable[[Path], tuple[ProcessorMixin, PreTrainedModel]]


@torch.inference_mode()
def run(name: str, load: Load, folder: Path, tiny: bool) -> Path:
    """Load a packed directory and run a second of noise through it."""
    directory = folder / name
    processor, model = load(directory)
    rate = processor.feature_extractor.sampling_rate
    audio = 0.1 * np.random.default_rng(0).standard_normal(rate).astype(np.float32)
    text = f"{processor.audio_bos_token}{processor.audio_token}{processor.audio_eos_token}"
    batch = processor(
        text=text + "Translate it.", audio=[audio], sampling_rate=rate, return_tensors="pt"
    ).to(model.device)
    start = time.perf_counter()
    logits = model(**batch).logits
    print(f"forward {time.perf_counter() - start:.1f} s", file=sys.stderr)
    if not torch.isfinite(logits).all():
        raise RuntimeError(f"{directory}: logits that are not numbers")
    return directory


STEPS: dict[str, tuple[str, Callable[[Path, bool], Path]]] = {
    "make": ("make the teacher", make_teacher),
    "prune": ("prune it", prune),
    "adapter": ("make an adapter", make_adapter),
    "merge": ("merge it", merge),
    "trim": ("trim the pruned model", trim),
    "pack": ("pack: nf4", partial(pack_as, "packed", "merged")),
    "pack-smallest": (
        "pack: nf4, embedding and head too",
        partial(pack_as, "smallest", "merged"),
    ),
    "pack-trimmed": ("pack the trimmed model: nf4", partial(pack_as, "trimmed-packed", "trimmed")),
    "run": ("load and run nf4", partial(run, "packed", load)),
    "run-smallest": ("load and run the other", partial(run, "smallest", load)),
    "run-trimmed": (
        "load and run the trimmed one by stock classes",
        partial(run, "trimmed-packed", load_by_stock_classes),
    ),
}


def peak_memory() -> int:
    """Peak memory of this process in bytes, with the pages of files that it read."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def take(step: str, folder: Path, tiny: bool) -> None:
    """Do one step in this process, and write its cost beside the models."""
    if step.startswith("pack") or step in ("prune", "merge", "trim"):
        # Loading the result is a step of its own.
        checkpoints.try_if_it_fits = lambda *arguments: None
    start = time.perf_counter()
    directory = STEPS[step][1](folder, tiny)
    cost = {"seconds": time.perf_counter() - start, "memory": peak_memory()}
    files = [file.stat().st_size for file in directory.glob("*.safetensors")]
    cost |= {"bytes": sum(files), "files": len(files)}
    (folder / f"{step}.json").write_text(json.dumps(cost))


def measure(folder: Path, steps: Sequence[str], tiny: bool, threads: int) -> None:
    rows = []
    for step in steps:
        command = [sys.executable, __file__, "--folder", str(folder), "--take", step]
        command += ["--threads", str(threads)] + ["--tiny"] * tiny
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
        cost: dict[str, Any] = json.loads((folder / f"{step}.json").read_text())
        rows.append(
            [
                STEPS[step][0],
                f"{cost['seconds']:.1f}",
                f"{cost['memory'] / 1e9:.2f}",
                f"{cost['bytes'] / 1e9:.3f}",
                str(cost["files"]),
            ]
        )
    sizes = []
    for name in ("teacher", "pruned", "packed", "smallest", "trimmed", "trimmed-packed"):
        if (folder / name).is_dir():
            size = measure_size(folder / name)
            config = read_config(folder / name)
            form = PACKED.get(name, "none")
            predicted = sum(predicted_bytes(config, form).values())
            if sum(count_weights(config).values()) != size["weights"]:
                raise RuntimeError(f"{folder / name}: weights are missing")
            parts = [f"{part} {number / 1e9:.3f}" for part, number in size["bytes_by_part"].items()]
            sizes.append(
                [
                    name,
                    f"{size['weights']:,}",
                    f"{size['bytes'] / 1e9:.3f}",
                    f"{predicted / 1e9:.3f}",
                    ", ".join(parts),
                ]
            )
    harness.report(
        "Packing at full size" + (" (TINY: only to try the code)" * tiny),
        [f"{threads} threads", "GB are 10^9 bytes; memory is the peak of the step's own process"],
        harness.table(["step", "seconds", "peak memory, GB", "files, GB", "number"], rows)
        + "\n\n"
        + harness.table(["model", "weights", "files, GB", "predicted, GB", "by part, GB"], sizes),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, help="of the models, kept; by default a temporary one")
    add("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="by default all")
    add("--take", choices=STEPS, help=argparse.SUPPRESS)
    add("--tiny", action="store_true", help="a tiny shape: to try the code")
    harness.add_machine(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.take:
        return take(options.take, options.folder, options.tiny)
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        return measure(options.folder, options.steps, options.tiny, options.threads)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.steps, options.tiny, options.threads)


if __name__ == "__main__":
    harness.run(main)
