"""A tiny model of the family, on the card and on the CPU: the same tokens, weights and losses."""

import copy
from pathlib import Path
from unittest import mock

import full_size
import harness
import torch
from tiny_families import wild
from transformers import PreTrainedModel, Trainer

from gpu_checks.lines import Lines
from gpu_checks.subject import Subject
from slimspeech import families
from slimspeech.data.audio import read_audio
from slimspeech.generation.embeddings import Clip
from slimspeech.generation.translation import GenerationSettings, translate_variants
from slimspeech.models.loading import load_for_inference, save_model
from slimspeech.pruning.layers import keep_layers
from slimspeech.quantization.nf4 import quantise
from slimspeech.quantization.pack import pack
from slimspeech.training.fine_tuning import fine_tune

CPU = torch.device("cpu")
CLIPS, TOKENS, REMOVED = 4, 12, 2
UPDATES, KILLED_AT = 6, 5


def check(subject: Subject, lines: Lines) -> None:
    model = full_size.make_model(subject.base.tiny, subject.base.processor, torch.float32, CPU)
    families.of(wild(model).config).prepare(model)
    directory = subject.folder / "tiny"
    save_model(model, subject.base.processor, directory)
    for name, check_one in (
        ("tokens of the card and of the CPU, fp32", same_tokens),
        ("tokens of the engine and of generate(), fp32", engine_is_generate),
        ("4-bit weights packed on the card, read on the CPU", packs_alike),
        ("losses of a training that is killed and resumed", resumes),
    ):
        with lines.attempt(name):
            good, text = check_one(subject, directory)
            lines.expect(good, name, text)


def translate(subject: Subject, model: PreTrainedModel, missing: list[int | None]) -> list[str]:
    """The hypotheses of every variant, one after the other."""
    clips = [
        Clip(number, subject.pair, read_audio(row["audio"]))
        for number, row in enumerate(subject.clips(CLIPS))
    ]
    settings = GenerationSettings(64, TOKENS, "fp32")
    kept = range(len(model.get_decoder().layers))
    texts = translate_variants(
        *(model, subject.base.processor, clips, subject.prompt, settings, kept, missing), None
    )
    return [text for variant in texts for text in variant]


def same_tokens(subject: Subject, directory: Path) -> tuple[bool, str]:
    texts = [
        translate(subject, load_for_inference(directory, "fp32", hardware), [None, REMOVED])
        for hardware in (subject.device, CPU)
    ]
    verdict = harness.differing(*texts)
    return verdict == "identical", f"{len(texts[0])} hypotheses: {verdict}"


def engine_is_generate(subject: Subject, directory: Path) -> tuple[bool, str]:
    model = load_for_inference(directory, "fp32")
    ours = translate(subject, model, [None, REMOVED])
    pruned = copy.deepcopy(model)
    layers = range(len(model.get_decoder().layers))
    keep_layers(pruned, [layer for layer in layers if layer != REMOVED])
    audio = [read_audio(row["audio"]) for row in subject.clips(CLIPS)]
    theirs = [
        harness.generate(one, subject.base.processor, clip, subject.pair, subject.prompt, TOKENS)
        for one in (model, pruned)
        for clip in audio
    ]
    verdict = harness.differing(ours, theirs)
    return verdict == "identical", f"{len(ours)} hypotheses, half without a layer: {verdict}"


@torch.inference_mode()
def packs_alike(subject: Subject, directory: Path) -> tuple[bool, str]:
    """Bits may differ where a weight lies between two of the 16 values; words should not."""
    weight = torch.randn(2048, 2048, generator=torch.Generator().manual_seed(0)).bfloat16()
    ours, theirs = (quantise(weight.to(hardware))[0].cpu() for hardware in (subject.device, CPU))
    share = float((ours != theirs).double().mean())
    packed = subject.folder / "packed"
    pack(directory, packed, "nf4")
    texts = [
        translate(subject, load_for_inference(packed, "fp32", hardware), [None])
        for hardware in (subject.device, CPU)
    ]
    verdict = harness.differing(*texts)
    text = f"{100 * share:.3f} % of the bytes differ; hypotheses of the packed model: {verdict}"
    return share < 1e-3 and verdict == "identical", text


def resumes(subject: Subject, directory: Path) -> tuple[bool, str]:
    curves = []
    usual = Trainer.training_step
    for number in (UPDATES, KILLED_AT, UPDATES):  # whole, killed, resumed
        steps = iter(range(1, 1 + UPDATES))
        workspace = subject.folder / ("whole" if not curves else "killed")

        def step(self, *arguments, last=number, steps=steps, **options):
            if next(steps) > last:
                raise KeyboardInterrupt
            return usual(self, *arguments, **options)

        with mock.patch.object(Trainer, "training_step", step):
            try:
                curves.append(_train(subject, directory, workspace))
            except KeyboardInterrupt:
                curves.append(None)
    whole, _, resumed = curves
    apart = max(abs(a["loss"] - b["loss"]) for a, b in zip(whole, resumed, strict=True))
    return apart < 1e-4 * whole[-1]["loss"], f"{UPDATES} updates; losses {apart:.1e} apart"


def _train(subject: Subject, directory: Path, workspace: Path) -> list[dict[str, float]]:
    settings = harness.plain_training(
        epochs=UPDATES / 2,
        learning_rate=1e-3,
        batch_size=2,
        scheduler="linear",
        precision="fp32",
        checkpoint_steps=2,
    )
    rows = [row | {"target": f"Satz {row['id']}."} for row in subject.clips(4)]
    model = load_for_inference(directory, "fp32")
    processor, prompt = subject.base.processor, subject.prompt
    return fine_tune(model, processor, rows, [], prompt, settings, seed=0, workspace=str(workspace))
