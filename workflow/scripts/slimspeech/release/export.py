"""Export a trained model for serving engines, in the layout of Qwen2-Audio itself.

vLLM, llama.cpp's converter and transformers 4 read that layout, and so does transformers 5. But
transformers 5 writes another one: it stores the feature extractor's settings in another file, and
the special tokens and the rotary base under other names.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.models.whisper.modeling_whisper import sinusoids

from slimspeech.artifacts import read_json, write_directory, write_json
from slimspeech.errors import InputError
from slimspeech.models.checkpoints import rewrite
from slimspeech.models.qwen2audio import load_processor, read_config
from slimspeech.quantization.predicted_size import predicted_bytes

WINDOW = 30  # seconds; engines take no other window than that of Qwen2-Audio
POSITIONS = "audio_tower.embed_positions.weight"
FRAMES_PER_POSITION = 2  # mel frames


def export(model: str | Path, target: str | Path) -> None:
    """Write a model that is not quantised, tensor by tensor, in bfloat16, with a window of 30 s.

    A shorter window is padded: the audio encoder masks what lies behind a clip, so the words of a
    clip stay the same. Raises InputError as rewrite() does, such as for a quantised model, and for
    a model whose shorter window cannot be padded.
    """
    model_config = read_config(model)
    needed = sum(predicted_bytes(model_config, "none").values())
    extractor = load_processor(model, model_config).feature_extractor
    padded = padded_extractor(extractor.to_dict())
    positions = padded["nb_max_frames"] // FRAMES_PER_POSITION

    def change(name: str, tensor: Tensor) -> dict[str, Tensor]:
        if name == POSITIONS and len(tensor) < positions:
            tensor = padded_positions(tensor, positions, model)
        return {name: tensor}

    def write(partial: Path) -> None:
        config = read_config(model)
        config.audio_config.max_source_positions = positions
        rewrite(model, partial, config, change, needed=needed)
        write_original_layout(partial, padded)
        load_processor(partial)

    write_directory(target, write)


def padded_extractor(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a feature extractor, with a window of at least 30 s."""
    if settings["chunk_length"] >= WINDOW:
        return settings
    samples = WINDOW * settings["sampling_rate"]
    frames = samples // settings["hop_length"]
    return settings | {"chunk_length": WINDOW, "n_samples": samples, "nb_max_frames": frames}


def padded_positions(weight: Tensor, count: int, model: str | Path) -> Tensor:
    """The audio encoder's positions, followed by more of the same sinusoids: (count, width).

    Raises InputError if they are no sinusoids, because then nothing says how they go on.
    """
    longer = sinusoids(count, weight.shape[1]).to(weight.dtype)
    if not torch.allclose(longer[: len(weight)].float(), weight.float(), atol=0.01):
        raise InputError(
            f"{model}: its audio encoder has a window of less than {WINDOW} s and positions that "
            "are not Whisper's, so engines cannot run it; start from a base model with a window of "
            f"{WINDOW} s"
        )
    longer[: len(weight)] = weight
    return longer


def write_original_layout(directory: Path, extractor: dict[str, Any]) -> None:
    """Rewrite the settings that transformers 5 wrote. extractor: the feature extractor's."""
    config = read_json(directory / "config.json")
    text_config = config["text_config"]
    text_config["rope_theta"] = text_config["rope_parameters"]["rope_theta"]
    write_json(directory / "config.json", config)
    tokenizer = read_json(directory / "tokenizer_config.json")
    special_tokens = list(tokenizer.pop("extra_special_tokens", []))
    tokenizer["additional_special_tokens"] = special_tokens
    write_json(directory / "tokenizer_config.json", tokenizer)
    processor = read_json(directory / "processor_config.json")
    stored = processor.pop("feature_extractor")
    changed = {key: extractor[key] for key in stored.keys() & extractor.keys()}
    extractor = stored | changed | {"processor_class": processor["processor_class"]}
    write_json(directory / "preprocessor_config.json", extractor)
    write_json(directory / "processor_config.json", processor)
