"""Find the checkpoint of a COMET metric on disk, or download it from the Hub, and check it.

A checkpoint is a file `checkpoints/<name>.ckpt` with `hparams.yaml` beside that folder, as COMET
writes and publishes them. The file is a pickle, and loading a pickle can run code that it holds. So
this module unpickles nothing, and refuses a file that holds more than tensors and plain values,
unless the config says that it is trusted.
"""

import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from slimspeech.checksums import file_sha256
from slimspeech.errors import InputError
from slimspeech.git_lfs import require_content

logger = logging.getLogger(__name__)

# The classes that score a single translation, by COMET's `class_identifier`. Other classes rank
# translations of one source.
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
    """A COMET metric on this disk; the fields are those of `comet/{metric}.json`."""

    metric: str
    model: str
    revision: str
    checkpoint: str
    class_name: str
    needs_reference: bool
    trusted: bool


@dataclass(frozen=True)
class Settings:
    """One metric of `evaluation.comet` in the config. metric: its name in the config."""

    metric: str
    model: str
    revision: str
    trusted: bool

    @property
    def key(self) -> str:
        return f"evaluation.comet.{self.metric}"


def find_checkpoint(settings: Settings) -> Checkpoint:
    """The metric's checkpoint on disk, with all that loading it needs; downloaded if necessary.

    The revision is the commit on the Hub, or the SHA-256 of a file that was on disk. Raises
    InputError, naming the key of the config, if the checkpoint does not exist, cannot be
    downloaded, scores no single segment, or holds more than weights and is not trusted.
    """
    path = find_file(settings)
    if Path(settings.model).exists():
        revision = f"sha256:{file_sha256(path)}"
    else:
        revision = path.parents[1].name  # the Hub's cache names the folder by its commit
    hparams = read_hparams(path, settings)
    identifier = hparams.get("class_identifier")
    if identifier not in CLASSES:
        raise InputError(
            f"{settings.key}.model: {path} is of COMET's class {identifier}, which gives no score "
            f"to a single segment; use a checkpoint of {', '.join(CLASSES)}"
        )
    if not settings.trusted and (names := unsafe_objects(path)):
        raise InputError(
            f"{path}: it holds more than weights ({', '.join(names[:3])}), and loading them can "
            f"run any code; if you trust who made it, set {settings.key}.trusted: true"
        )
    fetch_encoder(hparams, settings)
    return Checkpoint(
        metric=settings.metric,
        model=settings.model,
        revision=revision,
        checkpoint=str(path),
        class_name=CLASSES[identifier],
        needs_reference="ref" in hparams.get("input_segments", ["mt", "src", "ref"])
        if identifier == "unified_metric"
        else identifier != "referenceless_regression_metric",
        trusted=settings.trusted,
    )


def find_file(settings: Settings) -> Path:
    """The .ckpt file: a path, or the only one in `checkpoints/` of a folder or Hub repository."""
    path = Path(settings.model)
    if path.is_file():
        require_content(path)
        return path.absolute()
    if path.is_dir():
        folder = path.absolute()
    elif settings.model.endswith(".ckpt") or settings.model.startswith(("/", ".")):
        raise InputError(
            f"{settings.key}.model: {settings.model!r} does not exist; give the path of a .ckpt "
            "file, of the folder that holds its checkpoints/, or an id on the Hub (owner/name)"
        )
    else:
        files = ("hparams.yaml", "checkpoints/*.ckpt")
        folder = fetch_snapshot(settings.model, settings.revision, files, settings)
    checkpoints = sorted(folder.glob("checkpoints/*.ckpt"))
    if len(checkpoints) != 1:
        names = ", ".join(file.name for file in checkpoints) or "none"
        raise InputError(
            f"{settings.key}.model: {settings.model}/checkpoints/*.ckpt must be one file, and it "
            f"is {names}; give the path of the .ckpt file or correct the id"
        )
    require_content(checkpoints[0])
    return checkpoints[0]


def fetch_encoder(hparams: dict, settings: Settings) -> None:
    """Download config and tokenizer of the encoder; its weights are in the checkpoint."""
    names = [hparams.get("pretrained_model", "xlm-roberta-large")]
    if hparams.get("encoder_model") == "MiniLM":
        names.append(MINILM_TOKENIZER)
    for name in names:
        if Path(name).is_dir():
            continue
        if Path(name).is_absolute():
            raise InputError(
                f"{settings.key}.model: its encoder, {name}, does not exist; correct "
                "pretrained_model in hparams.yaml and in the checkpoint"
            )
        fetch_snapshot(name, "main", ENCODER_FILES, settings)


def fetch_snapshot(
    repository: str, revision: str, patterns: Sequence[str], settings: Settings
) -> Path:
    """The folder of a repository's files in the Hub's cache; missing files are downloaded.

    The Hub's library takes a token from HF_TOKEN or a login; it is never written or shown.
    """
    from huggingface_hub import errors, snapshot_download

    name = f"{settings.key}: {repository} at {revision}"
    try:
        folder = snapshot_download(repository, revision=revision, allow_patterns=list(patterns))
    except errors.GatedRepoError as error:
        raise InputError(
            f"{name} is gated: accept its terms on its page, then set HF_TOKEN to your token or "
            "log in with `huggingface-cli login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{name}: the model does not exist on the Hub, or is private; correct "
            f"{settings.key}.model, or set HF_TOKEN to your token"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(
            f"{name}: the model has no such revision; correct {settings.key}.revision to a "
            "commit of its page, or to main"
        ) from error
    except (OSError, errors.OfflineModeIsEnabled, errors.HFValidationError) as error:
        raise InputError(
            f"{name} is not on this machine, and the Hub cannot be reached "
            f"({first_line(error)}); run `snakemake` once with a network, give a path as "
            f"{settings.key}.model, or remove {settings.metric} from evaluation.comet"
        ) from error
    logger.info("%s: %s", name, folder)
    return Path(folder)


def read_hparams(path: Path, settings: Settings) -> dict:
    """COMET's description of a checkpoint, beside the folder of the checkpoint."""
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


def unsafe_objects(path: Path) -> list[str]:
    """The names of objects in a checkpoint besides tensors and plain values; loads nothing.

    Returns none for files in the format of torch before 1.6, which can only be read by loading.
    """
    from torch.serialization import get_unsafe_globals_in_checkpoint

    if not zipfile.is_zipfile(path):
        return []
    return sorted(get_unsafe_globals_in_checkpoint(path))


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
