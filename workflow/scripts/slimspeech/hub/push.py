"""Put a release on the Hugging Face Hub: what would go, and the going."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    ModelCard,
    errors,
)

from slimspeech.artifacts import read_json
from slimspeech.checksums import file_sha256
from slimspeech.errors import InputError
from slimspeech.release.metadata import CARD, FACTS, FORMAT, HASHES
from slimspeech.units import file_size

logger = logging.getLogger(__name__)

TOKEN = "HF_TOKEN"
MAIN = "main"
NAME = re.compile(r"[\w.-]+/[\w.-]+")
NEEDED = ("config.json", "processor_config.json", "tokenizer_config.json")
WEIGHTS = (".safetensors", ".safetensors.index.json")
# Formats of weights that run code when they are loaded.
PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".npy", ".pickle", ".pkl", ".pt", ".pth"})
LFS_BYTES = 10**7  # from here up, and all safetensors, the Hub keeps files as large ones
# What the Hub shows or filters by, and what is missed without it.
WANTED = {
    "license": "nobody knows what they may do with it; set release.license in the config",
    "base_model": "the Hub cannot link it to the model it comes from; set release.base_model",
    "datasets": "the Hub shows no training data; set release.datasets",
    "model-index": "the Hub shows no scores; add the student to evaluation.systems",
}


@dataclass(frozen=True)
class File:
    """name: path in the repository. large: whether the Hub is likely to keep it as LFS."""

    name: str
    bytes: int
    large: bool


@dataclass(frozen=True)
class Plan:
    """What would go where. notes: what the card lacks, in sentences."""

    directory: Path
    repository: str
    revision: str
    private: bool
    files: list[File]
    notes: list[str]

    def __str__(self) -> str:
        kind = "private" if self.private else "public"
        width = max(len(file.name) for file in self.files)
        sizes = [(file.name, file_size(file.bytes), file.large) for file in self.files]
        lines = [f"To {self.repository}, branch {self.revision}; {kind} if it is new:", ""]
        lines += [
            f"  {name:{width}}  {size:>9}{'  LFS' if large else ''}" for name, size, large in sizes
        ]
        total = file_size(sum(file.bytes for file in self.files))
        lines += ["", f"{len(self.files)} files, {total}"]
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


@dataclass(frozen=True)
class Published:
    """commit: its 40 digits. removed: weights of an earlier push that were in the way."""

    url: str
    commit: str
    removed: list[str]


def plan(
    directory: str | Path, repository: str, revision: str = MAIN, private: bool = False
) -> Plan:
    """Look whether a directory may be published, and list what would go. No network is used.

    Raises InputError unless it is a whole release, every file as its hash says and no other there,
    with a card that can be read.
    """
    directory = Path(directory)
    if not NAME.fullmatch(repository):
        raise InputError(f"{repository!r} is no repository; name it as owner/name")
    names = _check_files(directory)
    return Plan(
        directory=directory,
        repository=repository,
        revision=revision,
        private=private,
        files=[_file(directory, name) for name in sorted(names)],
        notes=_check_card(directory / CARD),
    )


def read_token(environment: Mapping[str, str]) -> str:
    """Raises InputError if the environment has none."""
    token = environment.get(TOKEN, "").strip()
    if not token:
        raise InputError(
            f"{TOKEN} is not set; make a token with write permission in your account's settings on "
            f"the Hub, and put it into the environment variable {TOKEN}"
        )
    return token


def push(chosen: Plan, token: str, endpoint: str | None = None) -> Published:
    """Send the files as one commit; the repository and the branch are made if they are not there.

    endpoint: of another Hub than the public one. Weights in the repository that the release does
    not have are removed in the same commit: transformers might load them instead. Raises
    InputError where the Hub refuses or cannot be reached; nothing is in the repository then but
    what was before.
    """
    hub = HfApi(endpoint=endpoint, token=token)
    repository = chosen.repository
    try:
        hub.create_repo(repository, private=chosen.private or None, exist_ok=True)
        if chosen.private and not hub.model_info(repository).private:
            raise InputError(
                f"{repository}: it is there already and public; make it private in its settings, "
                "or leave out --private"
            )
        if chosen.revision != MAIN:
            hub.create_branch(repository, branch=chosen.revision, exist_ok=True)
        ours = {file.name for file in chosen.files}
        there = hub.list_repo_files(repository, revision=chosen.revision)
        stale = sorted(name for name in there if name.endswith(WEIGHTS) and name not in ours)
        done = hub.create_commit(
            repository,
            operations=[
                *(CommitOperationAdd(name, chosen.directory / name) for name in sorted(ours)),
                *(CommitOperationDelete(name) for name in stale),
            ],
            commit_message="Release of a compressed speech translation model",
            revision=chosen.revision,
        )
    except InputError:
        raise
    except (httpx2.HTTPError, errors.HfHubHTTPError, ValueError, RuntimeError, OSError) as error:
        raise InputError(_problem(error, repository).replace(token, "…")) from None
    return Published(f"{hub.endpoint}/{repository}", done.oid, stale)


def _problem(error: BaseException, repository: str) -> str:
    """What went wrong and what to do, in a sentence."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__  # the library's word for which file, around the reason
    status = getattr(getattr(error, "response", None), "status_code", None)
    known = {
        401: f"the Hub does not accept the token in {TOKEN}; make a new one in your settings there",
        403: f"the token in {TOKEN} may not write there; give it write permission, or name a "
        "repository of yours",
        404: f"not on the Hub, or hidden from the token in {TOKEN}; check the name",
        409: "somebody changed it at the same moment; push again",
        412: "somebody changed it at the same moment; push again",
        429: "the Hub takes no more requests from you for now; push again later",
    }
    if status in known:
        return f"{repository}: {known[status]}"
    reason = " ".join(str(error).split()) or type(error).__name__
    if status is None and not isinstance(error, ValueError):
        return f"{repository}: the Hub cannot be reached ({reason}); push again when it can"
    return f"{repository}: the Hub refused it ({reason}); mend that, or push again later"


def _check_files(directory: Path) -> set[str]:
    """The names of all files of a release."""
    if not (directory / FACTS).is_file():
        raise InputError(
            f"{directory}: no release there ({FACTS} is missing); give the folder `release` of a "
            "student, which `snakemake …/students/NAME/release` makes"
        )
    facts = read_json(directory / FACTS)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise InputError(f"{directory / FACTS}: not of format {FORMAT}; make the release again")
    there = set(_names(directory))
    for name in sorted(there):
        if PurePosixPath(name).suffix in PICKLES:
            raise InputError(
                f"{directory / name}: weights of this kind can carry code and are not published; "
                "remove the file, the weights are in *.safetensors"
            )
    hashes = dict(_hashes(directory / HASHES))
    told = {*hashes, CARD, HASHES}
    if missing := sorted((told | set(NEEDED)) - there):
        raise InputError(f"{directory / missing[0]}: missing; make the release again")
    if not any(name.endswith(".safetensors") for name in hashes):
        raise InputError(f"{directory}: no weights (*.safetensors); make the release again")
    if stray := sorted(there - told):
        raise InputError(
            f"{directory / stray[0]}: not part of the release; move it elsewhere and push again"
        )
    for name, expected in hashes.items():
        if file_sha256(directory / name) != expected:
            raise InputError(
                f"{directory / name}: not what {HASHES} says, so it was changed or damaged; make "
                "the release again"
            )
    return there


def _names(directory: Path) -> Iterator[str]:
    """Every file below, but for what is hidden, such as Snakemake's time stamps."""
    for path in directory.rglob("*"):
        name = path.relative_to(directory)
        if not path.is_dir() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()


def _hashes(path: Path) -> Iterator[tuple[str, str]]:
    if not path.is_file():
        raise InputError(f"{path}: missing; make the release again")
    for line in path.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or not name:
            raise InputError(f"{path}: {line!r} is no hash and name; make the release again")
        yield name, digest


def _check_card(path: Path) -> list[str]:
    """What the card lacks. Raises InputError if its metadata cannot be read."""
    try:
        found = ModelCard(path.read_text(encoding="utf-8")).data.to_dict()
    except Exception as error:  # the library lets through what YAML raises
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: its metadata cannot be read ({reason}); correct what is between the lines of "
            "dashes"
        ) from error
    return [
        f"{CARD} has no `{key}`: {consequence}"
        for key, consequence in WANTED.items()
        if not found.get(key)
    ]


def _file(directory: Path, name: str) -> File:
    size = (directory / name).stat().st_size
    return File(name, size, large=name.endswith(".safetensors") or size >= LFS_BYTES)
