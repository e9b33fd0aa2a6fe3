"""The first ten minutes with the real weights of a base model: is it used as transformers uses it?

    python benchmarks/check_base.py config/iwslt2027.yaml clip1.wav clip2.wav

The checks come in order, and each needs the one before: files, prompt, audio, decoding, pruning,
packing. Clips are speech in the source language, shorter than the model can hear at once.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import harness
import numpy as np
import torch
import yaml
from transformers import AutoProcessor, PreTrainedModel, ProcessorMixin

from slimspeech.data.audio import read_audio
from slimspeech.evaluation.metrics import score, search_metric
from slimspeech.generation.embeddings import Clip
from slimspeech.generation.translation import GenerationSettings, translate_variants
from slimspeech.languages import target_code
from slimspeech.models.collation import listen, token_counts
from slimspeech.models.loading import load_for_inference, load_processor, read_config
from slimspeech.models.prompts import Prompt
from slimspeech.models.size import measure_size
from slimspeech.pruning.layers import keep_layers
from slimspeech.quantization.pack import pack
from slimspeech.quantization.predicted_size import count_weights, full_size, predicted_bytes

MOST_APART = 0.05  # of the largest embedding; bf16 has three digits
REPEATED = re.compile(r"(\S{2,20}?)\1{3,}")

# Whether it is as it should be (None: not known), and what was found.
Found = tuple[bool | None, str]
VERDICTS = {True: "good", False: "LOOK HERE", None: "not compared"}


@dataclass
class Base:
    """What the checks look at. model: None until it is loaded."""

    directory: str
    pair: str
    prompt: Prompt
    audio: list[np.ndarray]
    paths: list[str]
    settings: GenerationSettings
    processor: ProcessorMixin
    model: PreTrainedModel | None = None

    def translate(self, missing: int | None = None) -> list[str]:
        """By the project's own engine, one clip at a time, without a layer."""
        clips = [Clip(number, self.pair, audio) for number, audio in enumerate(self.audio)]
        kept = range(len(self.model.get_decoder().layers))
        [texts] = translate_variants(
            *(self.model, self.processor, clips, self.prompt, self.settings, kept, [missing]), None
        )
        return texts

    def generate(self) -> list[str]:
        """By transformers' generate(), with our prompts and features."""
        cap = self.settings.max_new_tokens
        return [
            harness.generate(self.model, self.processor, audio, self.pair, self.prompt, cap)
            for audio in self.audio
        ]


def check_files(base: Base) -> Found:
    found = measure_size(base.directory)
    config = read_config(base.directory)
    published = sum(count_weights(full_size(config.model_type)).values())
    same = "as published" if found["weights"] == published else f"published are {published:,}"
    text = f"{found['weights']:,} weights ({same}), {found['decoder_layers']} layers"
    return True, f"{text}, {found['bytes']:,} bytes"


def check_prompt(base: Base) -> Found:
    [count, *_] = token_counts(base.processor, base.audio)
    ours = base.prompt.ids(base.processor, base.pair, count)
    _show("prompt", base.processor.tokenizer.decode(ours))
    try:
        own = AutoProcessor.from_pretrained(base.directory, trust_remote_code=False)
    except Exception as error:  # packages that it needs and that we do without
        return None, _first_line(error)
    problems = []
    theirs = []
    text = {"type": "text", "text": base.prompt.request(base.pair)}
    system = base.prompt.system
    for key, first in product(("audio", "path"), (True, False)):
        heard = {"type": "audio", key: base.audio[0] if key == "audio" else base.paths[0]}
        content = [text, heard] if first else [heard, text]
        messages = [{"role": "user", "content": content}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
        try:
            batch = own.apply_chat_template(
                messages,
                tokenize=True,
                return_dict=True,
                add_generation_prompt=True,
                enable_thinking=False,
            )
            theirs.append(np.asarray(batch["input_ids"]).reshape(-1).tolist())
        except Exception as error:  # processors differ in the form of audio that they take
            problems.append(_first_line(error))
    if ours in theirs:
        return True, f"{len(ours)} tokens, the same as by the publisher's processor"
    if not theirs:
        return None, problems[0]
    _show("the publisher's processor", base.processor.tokenizer.decode(theirs[0]))
    return False, "another than that of the publisher's processor, which is printed above"


def check_audio(base: Base) -> Found:
    with torch.inference_mode():
        together = listen(base.model, base.processor, base.audio)
        alone = [listen(base.model, base.processor, [audio])[0] for audio in base.audio]
    apart = max(float((a - b).abs().max()) for a, b in zip(together, alone, strict=True))
    largest = max(float(clip.abs().max()) for clip in alone)
    text = f"alone and together {apart:.1e} apart, of {largest:.1e}"
    return apart <= MOST_APART * largest, text


def check_decoding(base: Base) -> Found:
    return _compared(base.translate(), base.generate())


def check_pruning(base: Base) -> Found:
    """Changes the model."""
    layers = list(range(len(base.model.get_decoder().layers)))
    missing = layers[len(layers) // 2]
    ours = base.translate(missing)
    keep_layers(base.model, [layer for layer in layers if layer != missing])
    good, text = _compared(ours, base.generate())
    return good, f"without layer {missing}: {text}"


def check_packing(base: Base) -> Found:
    """Loads another model."""
    base.model = load_for_inference(base.directory, base.settings.precision)
    whole = base.translate()
    base.model = None
    expected = sum(predicted_bytes(read_config(base.directory), "nf4").values())
    with tempfile.TemporaryDirectory(dir=".") as folder:
        pack(base.directory, f"{folder}/packed", "nf4")
        size = measure_size(f"{folder}/packed")
        base.model = load_for_inference(f"{folder}/packed", base.settings.precision)
        packed = base.translate()
    stored = sum(size["bytes_by_part"].values())
    language = target_code(base.pair)
    metric = search_metric(language)
    value = score(packed, whole, language, [metric])[metric]["score"]
    for text in packed:
        print(f"  packed: {text}")
    text = f"{stored:,} bytes of tensors, predicted {expected:,}; {value:.1f} {metric} of unpacked"
    return abs(stored - expected) <= expected / 1000, text


def _compared(ours: Sequence[str], theirs: Sequence[str]) -> Found:
    for text, other in zip(ours, theirs, strict=True):
        print(f"  {text}" if text == other else f"  ours:     {text}\n  generate: {other}")
    same = sum(map(str.__eq__, ours, theirs))
    return same == len(ours), f"{same} of {len(ours)} translations equal generate()'s"


def _show(name: str, text: str) -> None:
    """Print a prompt, with its audio tokens counted."""
    short = REPEATED.sub(lambda found: f"{found[1]} × {len(found[0]) // len(found[1])} ", text)
    print(f"  {name}: {short!r}")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).split("\n")), "")[:150] or type(error).__name__


CHECKS: dict[str, Callable[[Base], Found]] = {
    "files": check_files,
    "prompt": check_prompt,
    "audio": check_audio,
    "decoding": check_decoding,
    "pruning": check_pruning,
    "packing": check_packing,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if a check found something else than it should."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", help="names the base, the prompt and the pairs")
    parser.add_argument("clips", nargs="+", metavar="CLIP", help="audio files")
    parser.add_argument("--pair", help="by default the first of the config")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="by default bf16 on a GPU")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    options = parser.parse_args(arguments)
    config = yaml.safe_load(Path(options.config).read_text(encoding="utf-8"))
    precision = options.precision or ("bf16" if torch.cuda.is_available() else "fp32")
    directory = config["base"]["model"]
    base = Base(
        directory=directory,
        pair=options.pair or config["pairs"][0],
        prompt=Prompt.of(config["prompt"], config.get("languages", {})),
        audio=[read_audio(path) for path in options.clips],
        paths=options.clips,
        settings=GenerationSettings(1, options.max_new_tokens, precision),
        processor=load_processor(directory),
    )
    rows = []
    for name, check in CHECKS.items():
        start = time.perf_counter()
        if name == "audio":
            base.model = load_for_inference(directory, precision)
        good, text = check(base)
        rows.append((name, VERDICTS[good], text, time.perf_counter() - start))
    print("\n| check | | found | seconds |\n|---|---|---|--:|")
    for name, verdict, text, seconds in rows:
        print(f"| {name} | {verdict} | {text} | {seconds:.1f} |")
    return int(VERDICTS[False] in {verdict for _, verdict, *_ in rows})


if __name__ == "__main__":
    sys.exit(main())
