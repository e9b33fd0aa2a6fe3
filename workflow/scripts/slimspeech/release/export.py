"""Export a trained model for serving engines: bfloat16, in the layout of Qwen2-Audio itself.

vLLM, llama.cpp's converter and transformers 4 read that layout, and so does transformers 5. But
transformers 5 writes another one: it stores the feature extractor's settings in another file, and
the special tokens and the rotary base under other names.
"""

from pathlib import Path

from slimspeech.artifacts import read_json, write_directory, write_json
from slimspeech.models.checkpoints import rewrite
from slimspeech.models.qwen2audio import load_processor, read_config
from slimspeech.quantization.predicted_size import predicted_bytes


def export(model: str | Path, target: str | Path) -> None:
    """Write a model that is not quantised, tensor by tensor, in bfloat16.

    Raises InputError as rewrite() does, such as for a quantised model.
    """
    model_config = read_config(model)
    needed = sum(predicted_bytes(model_config, "none").values())

    def write(partial: Path) -> None:
        rewrite(model, partial, model_config, needed=needed)
        config = read_json(partial / "config.json")
        text_config = config["text_config"]
        text_config["rope_theta"] = text_config["rope_parameters"]["rope_theta"]
        write_json(partial / "config.json", config)
        tokenizer = read_json(partial / "tokenizer_config.json")
        special_tokens = list(tokenizer.pop("extra_special_tokens", []))
        tokenizer["additional_special_tokens"] = special_tokens
        write_json(partial / "tokenizer_config.json", tokenizer)
        processor = read_json(partial / "processor_config.json")
        extractor = processor.pop("feature_extractor")
        extractor["processor_class"] = processor["processor_class"]
        write_json(partial / "preprocessor_config.json", extractor)
        write_json(partial / "processor_config.json", processor)
        load_processor(partial)

    write_directory(target, write)
