"""Load, save and describe models. Weights are safetensors; data brings no code."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoConfig,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)

from slimspeech import families
from slimspeech.artifacts import read_json, write_directory, write_json
from slimspeech.errors import InputError
from slimspeech.models.collation import extract_features, token_counts
from slimspeech.models.four_bit import Linear4bit
from slimspeech.models.nf4_embedding import NF4Embedding, allow_any_width, model_class
from slimspeech.models.precision import resolve_precision
from slimspeech.models.shapes import shapes
from slimspeech.models.validation.directory import ADAPTER_CONFIG, check_directory
from slimspeech.models.validation.weights import ADAPTER_WEIGHTS, read_weights, require_weights


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(hardware: torch.device | None = None) -> str:
    """ "NVIDIA H100" or "CPU, 2 threads"; by default of device()."""
    hardware = hardware or device()
    if hardware.type == "cuda":
        return torch.cuda.get_device_name(hardware)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}"


def read_config(directory: str | Path) -> PreTrainedConfig:
    """Checks the directory, all but its weights, then reads its config.json.

    Raises InputError if there is no model, or one that must not be opened.
    """
    check_directory(directory)
    with readable(directory, "config.json"):
        return AutoConfig.from_pretrained(directory, trust_remote_code=False)


def load_processor(directory: str | Path, config: PreTrainedConfig | None = None) -> ProcessorMixin:
    """Tokenizer, feature extractor and chat template.

    config: of the model there, if it was read before; the directory is then not checked again.
    Raises InputError if the path is missing or refused, if the processor cannot be read, or if the
    tokenizer is not that of the model.
    """
    config = config or read_config(directory)
    with readable(directory, "the processor"):
        family = families.of(config)
        processor = family.load_processor(directory)
    if type(processor).__name__ != family.processor_class:
        raise InputError(
            f"{directory}: its processor is a {type(processor).__name__} and not {family.title}'s; "
            "copy the processor's files from the model that these weights come from"
        )
    _check_tokenizer(directory, processor, config)
    # Saved with a student, so that all prompts of a batch end where their translations begin.
    processor.tokenizer.padding_side = "left"
    if hasattr(processor.tokenizer, "init_kwargs"):  # which are what transformers saves
        processor.tokenizer.init_kwargs["padding_side"] = "left"
    return processor


def load_model(
    directory: str | Path,
    dtype: torch.dtype,
    quantization: BitsAndBytesConfig | None = None,
    hardware: torch.device | None = None,
) -> PreTrainedModel:
    """A model in evaluation mode. hardware: by default the GPU, or the CPU without one.

    A packed (4-bit) directory carries its own quantization; `dtype` is then that of the rest, and
    that in which the 4-bit layers compute, whatever its config says. An adapter beside it is loaded
    with it.
    Raises InputError if the directory is missing or refused, or if a weight is missing or of
    another shape (transformers would fill it with random numbers and only warn).
    """
    return _load(directory, read_config(directory), dtype, quantization, hardware)


def _load(
    directory: str | Path,
    config: PreTrainedConfig,
    dtype: torch.dtype,
    quantization: BitsAndBytesConfig | None,
    hardware: torch.device | None,
) -> PreTrainedModel:
    packed = hasattr(config, "quantization_config")
    if dtype == torch.float32:
        # GPUs would round the inputs of convolutions, and so the audio encoder's, to ten bits.
        torch.backends.cudnn.allow_tf32 = False
    with readable(directory, "config.json"):
        expected = shapes(config)
    require_weights(directory, read_weights(directory), expected, packed)
    if packed and any(Path(directory, name).exists() for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)):
        from slimspeech.models.adapters import require_adapter  # peft is slow to import

        require_adapter(config, directory)
    with readable(directory, "the model"):
        model, report = model_class(config, families.of(config).model_class).from_pretrained(
            directory,
            dtype=dtype,
            device_map={"": hardware or device()},
            quantization_config=quantization,
            use_safetensors=True,
            output_loading_info=True,
        )
    wrong = sorted(report["missing_keys"]) + sorted(report["mismatched_keys"])
    if wrong:
        raise InputError(
            f"{directory}: the weights do not fit the config: {len(wrong)} missing or of another "
            f"shape, such as {wrong[0]}; the checkpoint is incomplete, make or download it again"
        )
    if packed:
        compute_in(model, dtype)
    return allow_any_width(families.of(config).prepare(model)).eval()


def load_for_inference(
    directory: str | Path, precision: str, hardware: torch.device | None = None
) -> PreTrainedModel:
    """load_model() in "fp32", "bf16" or "auto": bf16 where the device computes it itself.

    A 4-bit model computes in that precision too, so that its scores and speed differ from those of
    others by its weights alone.
    """
    resolved = resolve_precision(precision, hardware or device())
    dtype = torch.bfloat16 if resolved == "bf16" else torch.float32
    return load_model(directory, dtype, hardware=hardware)


def compute_in(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Make a packed model compute in another dtype than its config says; 4-bit weights stay."""
    for weight in model.parameters():
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)
    for layer in model.modules():
        if isinstance(layer, Linear4bit | NF4Embedding):
            layer.compute_dtype = dtype


def save_model(model: PreTrainedModel, processor: ProcessorMixin, directory: str | Path) -> None:
    """Write weights, config and processor, then load them and run a prompt; or write nothing."""

    def write(partial: Path) -> None:
        model.save_pretrained(partial)
        publish_config(partial)
        processor.save_pretrained(partial)
        try_model(partial)

    write_directory(directory, write)


def publish_config(directory: Path) -> None:
    """Put config.json, as transformers writes it, into the layout of the model's publisher."""
    path = directory / "config.json"
    settings = read_json(path)
    published = families.by_type(settings["model_type"]).as_published(settings)
    if published != settings:
        write_json(path, published)


@torch.inference_mode()
def try_model(directory: str | Path) -> None:
    """Load a directory on the CPU and run one prompt through it.

    Raises RuntimeError if a logit is not finite, InputError if it does not load.
    """
    model = load_model(directory, torch.bfloat16, hardware=torch.device("cpu"))
    processor = load_processor(directory, model.config)
    second = [np.zeros(processor.feature_extractor.sampling_rate, dtype=np.float32)]
    before, placeholder, after = families.of(model.config).audio_marks
    marks = [before, *[placeholder] * token_counts(processor, second)[0], after]
    ids = processor.tokenizer.convert_tokens_to_ids([mark for mark in marks if mark])
    features = extract_features(processor, second)
    if not torch.isfinite(model(input_ids=torch.tensor([ids]), **features).logits).all():
        raise RuntimeError(f"{directory}: the model gives logits that are not numbers")


@contextmanager
def readable(directory: str | Path, what: str) -> Iterator[None]:
    """Raises InputError for what transformers raises on a damaged file or a full GPU."""
    try:
        yield
    except (InputError, MemoryError, ImportError):
        raise
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"{directory}: {what} does not fit the memory of the GPU; use a larger GPU or a lower "
            "precision"
        ) from error
    except Exception as error:
        if isinstance(error, RuntimeError) and not isinstance(error, RecursionError):
            raise
        reason = str(error).split("\n")[0][:200]
        raise InputError(
            f"{directory}: {what} cannot be read ({type(error).__name__}: {reason}); make or "
            "download it again"
        ) from error


def _check_tokenizer(
    directory: str | Path, processor: ProcessorMixin, config: PreTrainedConfig
) -> None:
    """Raises InputError for another model's tokenizer: the embedding has other tokens, or fewer."""
    tokens, rows = len(processor.tokenizer), config.text_config.vocab_size
    _, placeholder, _ = families.of(config).audio_marks
    token = processor.tokenizer.convert_tokens_to_ids(placeholder)
    problem = ""
    if tokens > rows:
        problem = f"it has {tokens} tokens and the embedding {rows}"
    elif token != config.audio_token_id:
        problem = f"its {placeholder} is token {token} and the model's is {config.audio_token_id}"
    if problem:
        raise InputError(
            f"{directory}: the tokenizer is another model's: {problem}; copy the processor's files "
            "from the model that these weights come from"
        )
