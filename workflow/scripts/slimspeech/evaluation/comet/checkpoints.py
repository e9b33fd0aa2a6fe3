"""Checkpoints of COMET metrics: found on disk or fetched from the Hugging Face Hub, and checked.

A checkpoint is a file `checkpoints/<name>.ckpt` with `hparams.yaml` beside that folder, as COMET
writes and publishes them. The file is a pickle, and loading a pickle can run code that it holds. So
nothing is unpickled here, and what holds more than tensors and plain values is refused, unless the
config says that it is trusted.
"""

import hashlib
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

# By COMET's `class_identifier`: the classes that give a translation a score of its own. Others are
# made to rank translations of one source against each other.
CLASSES = {
    "regression_metric": "RegressionMetric",
    "referenceless_regression_metric": "ReferencelessRegression",
    "unified_metric": "UnifiedMetric",
    "xcomet_metric": "XCOMETMetric",
}
ENCODER_FILES = ("config.json", "*token*.json", "special_tokens_map.json", "*.model", "vocab.*")
# COMET takes the tokenizer of this one encoder from another repository.
MINILM_TOKENIZER = "xlm-roberta-base"


@dataclass(frozen=True)
class Checkpoint:
    """A COMET metric that is on this disk. Fields as in `comet/{metric}.json` of an experiment."""

    metric: str
    model: str
    revision: str
    checkpoint: str
    class_name: str
    needs_reference: bool
    trusted: bool


@dataclass(frozen=True)
class Settings:
    """What `evaluation.comet` says of one metric, by its name there."""

    metric: str
    model: str
    revision: str = "main"
    trusted: bool = False

    @property
    def key(self) -> str:
        return f"evaluation.comet.{self.metric}"


def find_checkpoint(settings: Settings) -> Checkpoint:
    """The metric's checkpoint, on disk with all that loading it needs; fetched if it has to be.

    The revision is the commit on the Hub, or the SHA-256 of a file that was on disk. Raises
    InputError, naming the key of the config, where there is no such checkpoint, it cannot be
    fetched, its class scores no single segment, or it holds more than weights and is not trusted.
    """
    if is_path(settings.model):
        path = find_file(settings)
        with open(path, "rb") as content:
            revision = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
    else:
        path = fetch_file(settings)
        revision = path.parents[1].name  # the folder of a snapshot is named by its commit
    hparams = read_hparams(path, settings)
    identifier = hparams.get("class_identifier")
    if identifier not in CLASSES:
        raise InputError(
            f"{settings.key}.model: {path} is of COMET's class {identifier}, which gives no score "
            f"to a single segment; use a checkpoint of {', '.join(CLASSES)}"
        )
    if not settings.trusted and (found := unsafe_objects(path)):
        raise InputError(
            f"{path}: more than weights are pickled in it ({', '.join(found[:3])}), and to load "
            f"these can run any code; if you trust who made it, set {settings.key}.trusted: true"
        )
    fetch_encoder(hparams, settings)
    return Checkpoint(
        metric=settings.metric,
        model=settings.model,
        revision=revision,
        checkpoint=str(path),
        class_name=CLASSES[identifier],
        needs_reference=needs_reference(identifier, hparams),
        trusted=settings.trusted,
    )


def is_path(model: str) -> bool:
    """Whether a model is on disk; otherwise it is an id on the Hub, `owner/name`."""
    return model.endswith(".ckpt") or model.startswith(("/", ".")) or Path(model).exists()


def find_file(settings: Settings) -> Path:
    """The .ckpt file that a path names, itself or as the only one in its `checkpoints/`."""
    path = Path(settings.model)
    if path.is_dir():
        files = sorted(path.glob("checkpoints/*.ckpt"))
        if len(files) != 1:
            names = ", ".join(file.name for file in files) or "none"
            raise InputError(
                f"{settings.key}.model: of {path}/checkpoints/*.ckpt there must be one, but there "
                f"is {names}; give the path of the .ckpt file"
            )
        return files[0].resolve()
    if not path.is_file():
        raise InputError(
            f"{settings.key}.model: there is no {settings.model!r}; give the path of a .ckpt file, "
            "of the folder that holds its checkpoints/, or an id on the Hub (owner/name)"
        )
    return path.resolve()


def fetch_file(settings: Settings) -> Path:
    """The .ckpt file of a repository on the Hub, in the Hub's own cache of files."""
    files = ("hparams.yaml", "checkpoints/*.ckpt")
    folder = fetch_snapshot(settings.model, settings.revision, files, settings)
    found = sorted(folder.glob("checkpoints/*.ckpt"))
    if len(found) != 1:
        raise InputError(
            f"{settings.key}.model: {settings.model} holds {len(found)} files "
            "checkpoints/*.ckpt, where a COMET metric has one; correct the id"
        )
    return found[0]


def fetch_encoder(hparams: dict, settings: Settings) -> None:
    """Have config and tokenizer of the encoder at hand; its weights are in the checkpoint."""
    for name in [
        hparams.get("pretrained_model", "xlm-roberta-large"),
        *([MINILM_TOKENIZER] if hparams.get("encoder_model") == "MiniLM" else []),
    ]:
        if Path(name).is_absolute() and not Path(name).is_dir():
            raise InputError(
                f"{settings.key}.model: its encoder, {name}, is not there; correct "
                "pretrained_model in hparams.yaml and in the checkpoint"
            )
        if not Path(name).is_dir():
            fetch_snapshot(name, "main", ENCODER_FILES, settings)


def fetch_snapshot(
    repository: str, revision: str, patterns: Sequence[str], settings: Settings
) -> Path:
    """Files of a repository at one revision, in the Hub's cache; what is there is not fetched.

    A token is used if HF_TOKEN or a login gives one; none is ever written or shown.
    """
    from huggingface_hub import errors, snapshot_download

    name = f"{settings.key}: {repository} at {revision}"
    try:
        folder = snapshot_download(repository, revision=revision, allow_patterns=list(patterns))
    except errors.GatedRepoError as error:
        raise InputError(
            f"{name} is gated: accept its terms on its page, then give your token in the "
            "environment (HF_TOKEN) or log in with `huggingface-cli login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{name}: the Hub has no such model, or a private one; correct "
            f"{settings.key}.model, or give your token in the environment (HF_TOKEN)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(
            f"{name}: the model has no such revision; correct {settings.key}.revision to a "
            "commit of its page, or to main"
        ) from error
    except (OSError, errors.OfflineModeIsEnabled, errors.HFValidationError) as error:
        raise InputError(
            f"{name} is not on this machine, and the Hub cannot be reached "
            f"({first_line(error)}); run `snakemake` once where it can, give a path as "
            f"{settings.key}.model, or take {settings.metric} out of evaluation.comet"
        ) from error
    logger.info("%s: %s", name, folder)
    return Path(folder)


def read_hparams(path: Path, settings: Settings) -> dict:
    """COMET's description of a checkpoint, from the folder above its own."""
    file = path.parents[1] / "hparams.yaml"
    if not file.is_file():
        raise InputError(
            f"{settings.key}.model: {file} is missing; a COMET checkpoint is a file in a folder "
            "checkpoints/, with its hparams.yaml beside that folder"
        )
    try:
        hparams = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not valid YAML ({first_line(error)}); copy it again") from error
    if not isinstance(hparams, dict):
        raise InputError(f"{file}: holds no keys of a COMET metric; copy it again")
    return hparams


def needs_reference(identifier: str, hparams: dict) -> bool:
    """Whether the metric compares with a reference, or goes by the source alone."""
    if identifier == "unified_metric":
        return "ref" in hparams.get("input_segments", ["mt", "src", "ref"])
    return identifier != "referenceless_regression_metric"


def unsafe_objects(path: Path) -> list[str]:
    """What is pickled in a checkpoint besides tensors and plain values; nothing is loaded.

    Files in the format that torch wrote before 1.6 are not looked into, since they cannot be.
    """
    from torch.serialization import get_unsafe_globals_in_checkpoint

    if not zipfile.is_zipfile(path):
        return []
    return sorted(get_unsafe_globals_in_checkpoint(path))


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
