"""Detect the layout of a gold corpus, and read it with the reader of that layout."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from slimspeech.data import acl6060, acl6060_hub, must_c, table
from slimspeech.data.archives import unpacked
from slimspeech.data.raw_segments import BadSegments, RawSegment

logger = logging.getLogger(__name__)


def is_wanted(member: str) -> bool:
    """Whether a member of an archive is needed in one of the layouts."""
    return acl6060.is_wanted(member) or must_c.is_wanted(member)


@contextmanager
def raw_segments(
    archive: str | Path, scratch: str | Path, languages: Sequence[str], bad: BadSegments
) -> Iterator[Iterable[RawSegment]]:
    """The segments of a corpus: a .tsv table, or an archive or a folder in another layout.

    The layout depends on the folder's content: parquet files of the Hub's copy of ACL 60/60, the
    layout of MuST-C, or else that of ACL 60/60. Clips that are not files of the corpus are written
    into `scratch`, which the caller removes after the context. bad: takes segments that cannot be
    used.
    Raises InputError as `archives.unpacked` and as the reader.
    """
    archive, scratch = Path(archive), Path(scratch)
    if archive.suffix.lower() == ".tsv" and os.path.isfile(archive):
        yield table.read_segments(archive, languages, bad)
        return
    with unpacked(archive, is_wanted, scratch) as root:
        if acl6060_hub.is_copy(root):
            logger.info("%s: the Hub's copy of ACL 60/60", archive)
            yield acl6060_hub.read_segments(root, str(archive), scratch, languages, bad)
        elif must_c.find_folders(root):
            logger.info("%s: the layout of MuST-C", archive)
            yield must_c.read_segments(root, str(archive), languages, bad)
        else:
            yield acl6060.read_segments(root, str(archive), languages, bad)
