"""Download files of a Hugging Face repository at one revision: all of them, or none."""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import httpx2
from huggingface_hub import HfApi, errors, snapshot_download
from huggingface_hub.utils import filter_repo_objects

from slimspeech.artifacts import require_space
from slimspeech.errors import InputError
from slimspeech.models.validation.directory import check_directory
from slimspeech.models.validation.weights import read_weights

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

    The download goes to a hidden folder beside it, from which the next run continues. endpoint: the
    URL of another Hub. Raises InputError when the repository or the revision does not exist, is
    gated or is private, when no file matches, when the Hub cannot be reached, when the disk is too
    small, and when a model is refused (validation.directory.check_directory). `folder` is then
    unchanged.
    """
    folder = Path(folder)
    name = f"{repository} at {revision}"
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        # snapshot_download alone would return old files when the Hub does not answer.
        info = HfApi(endpoint=endpoint).repo_info(
            repository, repo_type=kind, revision=revision, files_metadata=True
        )
        files = list(
            filter_repo_objects(
                info.siblings, allow_patterns=list(patterns), key=lambda file: file.rfilename
            )
        )
        if not files:
            raise InputError(f"{name}: no file matches {' or '.join(patterns)}; correct its name")
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
    except InputError:
        raise
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
    except (errors.HfHubHTTPError, ValueError) as error:
        raise InputError(f"{name}: {_first_line(error)}; correct its name or try later") from error
    except (
        httpx2.HTTPError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.FileMetadataError,
    ) as error:
        raise InputError(
            f"{name}: the Hub cannot be reached ({_first_line(error)}); run again when it can, "
            "the files fetched so far are kept"
        ) from error
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    if kind == "model":
        check_directory(partial, name)
        read_weights(partial, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    return info.sha


def _first_line(error: Exception) -> str:
    return next(iter(str(error).split("\n")), "") or type(error).__name__
