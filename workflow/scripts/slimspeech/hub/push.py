"""Publish a release on the Hugging Face Hub: list the files, then send them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, ModelCard, errors
from huggingface_hub.utils import HFValidationError, filter_repo_objects, validate_repo_id

from slimspeech.artifacts import read_json, read_text
from slimspeech.checksums import file_sha256
from slimspeech.errors import InputError
from slimspeech.formatting import file_size
from slimspeech.git_lfs import require_content
from slimspeech.models.validation.directory import ADAPTER_CONFIG
from slimspeech.release.metadata import FACTS, FORMAT
from slimspeech.release.package import CARD, HASHES

TOKEN = "HF_TOKEN"
MAIN = "main"
# What `git check-ref-format --branch` refuses, and names that the Hub keeps for itself.
NO_BRANCH = re.compile(
    r"(^|/)\.|\.\.|\.(lock)?(/|$)|//|^[-/]|/$|@\{|^@$|^HEAD$|^refs/|[\x00-\x20\x7f~^:?*\[\\]"
)
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", ADAPTER_CONFIG)
HIDDEN = (".*", "*/.*")  # such as Snakemake's time stamps; neither checked nor sent
LFS_BYTES = 10**7  # the Hub stores files of this size and all safetensors as large files
# Keys of the card that the Hub shows or filters by, and the consequence of leaving each out.
CARD_KEYS = {
    "license": "nobody knows what they may do with it; set release.license in the config",
    "base_model": "the Hub cannot link it to the model it comes from; set release.base_model",
    "datasets": "the Hub shows no training data; set release.datasets",
    "model-index": "the Hub shows no scores; add the student to evaluation.systems",
}


@dataclass(frozen=True)
class File:
    """name: path in the repository. large: whether the Hub probably stores it as LFS."""

    name: str
    bytes: int
    large: bool


@dataclass(frozen=True)
class Plan:
    """What would be sent where. notes: a sentence for each key that the card lacks."""

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
    """commit: the 40-digit hash. removed: deleted weights of an earlier push."""

    url: str
    commit: str
    removed: list[str]


def plan(
    directory: str | Path, repository: str, revision: str = MAIN, private: bool = False
) -> Plan:
    """Check that a directory may be published, and list what would be sent. Uses no network.

    Raises InputError unless it is a complete release: every file has its hash, no file is extra,
    and the card can be read.
    """
    directory = Path(directory)
    _check_names(repository, revision)
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
            f"{TOKEN} is not set; make a token with write permission in your settings on the Hub, "
            f"and put it into the environment variable {TOKEN}"
        )
    return token


def push(release: Plan, token: str, endpoint: str | None = None) -> Published:
    """Send the files as one commit, and create the repository and the branch if necessary.

    The same commit deletes weights in the repository that the release does not have, because
    transformers might load them instead. endpoint: the URL of another Hub. Raises InputError when
    the Hub refuses or cannot be reached; the files in the repository are then unchanged.
    """
    hub = HfApi(endpoint=endpoint, token=token)
    repository = release.repository
    try:
        hub.create_repo(repository, private=release.private or None, exist_ok=True)
        if release.private and not hub.model_info(repository).private:
            raise InputError(
                f"{repository}: exists already and is public; make it private in its settings, or "
                "leave out --private"
            )
        if release.revision != MAIN:
            hub.create_branch(repository, branch=release.revision, exist_ok=True)
        published = hub.list_repo_files(repository, revision=release.revision)
        commit = hub.upload_folder(
            repo_id=repository,
            folder_path=release.directory,
            revision=release.revision,
            commit_message="Release of a compressed speech translation model",
            ignore_patterns=list(HIDDEN),
            delete_patterns=list(WEIGHTS),
        )
    except InputError:
        raise
    except (httpx2.HTTPError, errors.HfHubHTTPError, ValueError, RuntimeError, OSError) as error:
        raise InputError(_problem(error, repository).replace(token, "…")) from None
    released = {file.name for file in release.files}
    removed = set(filter_repo_objects(published, allow_patterns=list(WEIGHTS))) - released
    return Published(f"{hub.endpoint}/{repository}", commit.oid, sorted(removed))


def _problem(error: BaseException, repository: str) -> str:
    """The error and its fix, in a sentence."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__  # the library wraps the error in one that names the file
    status = getattr(getattr(error, "response", None), "status_code", None)
    problems = {
        401: f"the Hub does not accept the token in {TOKEN}; make a new one in your settings",
        403: f"the token in {TOKEN} may not write to it; give it write permission, or name a "
        "repository of yours",
        404: f"not on the Hub, or the token in {TOKEN} may not read it; check the name",
        409: "somebody changed it at the same moment; push again",
        412: "somebody changed it at the same moment; push again",
        429: "the Hub accepts no more requests from you for now; push again later",
    }
    if status in problems:
        return f"{repository}: {problems[status]}"
    reason = " ".join(str(error).split()) or type(error).__name__
    if status is None and not isinstance(error, ValueError):
        return f"{repository}: the Hub cannot be reached ({reason}); push again when it can"
    return f"{repository}: the Hub refused it ({reason}); fix that, or push again later"


def _check_names(repository: str, revision: str) -> None:
    """Raise InputError for names of a repository or a branch that the Hub refuses."""
    if repository.count("/") != 1:
        raise InputError(f"{repository!r} is no repository; name it as owner/name")
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise InputError(
            f"{repository!r} is no name for a repository on the Hub; use ASCII letters, digits, -, "
            "_ and ., without -- and .., without - or . at an end, without .git, 96 at most"
        ) from error
    if not revision or NO_BRANCH.search(revision):
        raise InputError(
            f"{revision!r} is no name for a branch; use letters, digits, - and _, such as v2"
        )


def _check_files(directory: Path) -> set[str]:
    """The names of all files of a release."""
    if not (directory / FACTS).is_file():
        raise InputError(
            f"{directory}: no release ({FACTS} is missing); give the folder `release` of a "
            "student, which `snakemake …/students/NAME/release` makes"
        )
    facts = read_json(directory / FACTS)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise InputError(f"{directory / FACTS}: not of format {FORMAT}; make the release again")
    paths = (path for path in directory.rglob("*") if not path.is_dir())
    names = set(
        filter_repo_objects(
            (path.relative_to(directory).as_posix() for path in paths), ignore_patterns=list(HIDDEN)
        )
    )
    hashes = _read_hashes(directory / HASHES)
    expected = {*hashes, CARD, HASHES}
    if missing := sorted(expected - names):
        raise InputError(f"{directory / missing[0]}: missing; make the release again")
    if stray := sorted(names - expected):
        raise InputError(
            f"{directory / stray[0]}: not part of the release; move it elsewhere and push again"
        )
    for name, digest in hashes.items():
        require_content(directory / name)
        if file_sha256(directory / name) != digest:
            raise InputError(
                f"{directory / name}: its hash is not that in {HASHES}, so it was changed or "
                "damaged; make the release again"
            )
    return names


def _read_hashes(path: Path) -> dict[str, str]:
    """SHA-256 by the name of the file."""
    if not path.is_file():
        raise InputError(f"{path}: missing; make the release again")
    lines = [line.partition("  ") for line in read_text(path).splitlines()]
    for digest, separator, name in lines:
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or not name:
            line = digest + separator + name
            raise InputError(f"{path}: {line!r} is no hash and name; make the release again")
    return {name: digest for digest, _, name in lines}


def _check_card(path: Path) -> list[str]:
    """A sentence for each key that the card lacks. Raises InputError if it cannot be read."""
    try:
        metadata = ModelCard(read_text(path)).data.to_dict()
    except Exception as error:  # the library passes on what YAML raises
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: its metadata cannot be read ({reason}); correct what is between the lines of "
            "dashes"
        ) from error
    return [
        f"{CARD} has no `{key}`: {consequence}"
        for key, consequence in CARD_KEYS.items()
        if not metadata.get(key)
    ]


def _file(directory: Path, name: str) -> File:
    size = (directory / name).stat().st_size
    return File(name, size, large=name.endswith(".safetensors") or size >= LFS_BYTES)
