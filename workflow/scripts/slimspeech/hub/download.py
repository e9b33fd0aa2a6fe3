"""Fetch files of a Hugging Face repository at one revision: all of them, or none in place."""

import logging
import os
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Literal

import httpx2
from huggingface_hub import HfApi, errors, snapshot_download

from slimspeech.disk import require_space
from slimspeech.errors import InputError
from slimspeech.models.validation.directory import check_directory

logger = logging.getLogger(__name__)


def download_snapshot(
    repository: str,
    revision: str,
    folder: str | Path,
    kind: Literal["dataset", "model"],
    patterns: Sequence[str],
    endpoint: str | None = None,
) -> str:
    """Write the files that match `patterns` to `folder`; returns the revision's commit.

    They gather in a hidden sibling, from which the next run goes on. `endpoint` is another Hub
    than the public one. Raises InputError when the repository or the revision is not there, when
    it is gated or private, when no file matches, and when the Hub cannot be reached or the disk is
    too small, when a file would lie outside of the folder, and when a model has to be refused
    (model_directory.check_directory); `folder` is then as it was before.
    """
    folder = Path(folder)
    name = f"{repository} at {revision}"
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        info = HfApi(endpoint=endpoint).repo_info(
            repository, repo_type=kind, revision=revision, files_metadata=True
        )
        files = [
            file
            for file in info.siblings
            if any(fnmatch(file.rfilename, pattern) for pattern in patterns)
        ]
        for file in files:
            place = PurePosixPath(file.rfilename)
            if place.is_absolute() or ".." in place.parts:
                raise InputError(
                    f"{name}: {file.rfilename!r} would lie outside of the folder; correct its name"
                )
        if not files:
            raise InputError(
                f"{name}: no file like {' or '.join(patterns)} there; correct its name"
            )
        size = sum(file.size or 0 for file in files)
        require_space(folder.parent, size, f"{name} (its download)")
        logger.info("%s: commit %s, %d files, %.2f GB", name, info.sha, len(files), size / 1e9)
        snapshot_download(
            repository,
            repo_type=kind,
            revision=info.sha,
            local_dir=partial,
            allow_patterns=list(patterns),
            endpoint=endpoint,
        )
    except errors.GatedRepoError as error:
        raise InputError(
            f"{repository}: gated; accept its terms on its page, then log in with `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{repository}: no such {kind} on the Hub, or a private one; correct its name, or log "
            "in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(
            f"{repository}: no revision {revision}; give a commit of its history"
        ) from error
    except (errors.HFValidationError, errors.HfHubHTTPError) as error:
        raise InputError(f"{name}: {_first_line(error)}; correct its name or try later") from error
    except (
        httpx2.HTTPError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.FileMetadataError,
    ) as error:
        raise InputError(
            f"{name}: the Hub cannot be reached ({_first_line(error)}); run again when it can, "
            "what has arrived is kept"
        ) from error
    for file in files:
        if file.size is not None and (partial / file.rfilename).stat().st_size != file.size:
            raise InputError(f"{name}: {file.rfilename} arrived incomplete; run again")
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    if kind == "model":
        check_directory(partial, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    return info.sha


def _first_line(error: Exception) -> str:
    return next(iter(str(error).split("\n")), "") or type(error).__name__
