"""Licence and citation of each corpus of an experiment."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slimspeech.artifacts import Row
from slimspeech.checksums import file_sha256
from slimspeech.data import acl6060, covost

logger = logging.getLogger(__name__)

KEYS = ("name", "licence", "citation", "url")
MINI_TALK = "mini.talk."
MINI_FOLDER = Path("results/corpora/mini")

ACL6060 = {
    "name": "ACL 60/60",
    "licence": "CC BY 4.0",
    "citation": (
        "Elizabeth Salesky, Kareem Darwish, Mohamed Al-Badrashiny, Mona Diab and Jan Niehues. "
        "2023. Evaluating Multilingual Speech Translation under Realistic Conditions with "
        "Resegmentation and Terminology. In Proceedings of IWSLT 2023."
    ),
    "url": "https://aclanthology.org/2023.iwslt-1.2/",
}
COVOST2 = {
    "name": "CoVoST 2, on Common Voice 4",
    "licence": "CC0 1.0",
    "citation": (
        "Changhan Wang, Anne Wu, Jiatao Gu and Juan Pino. 2021. CoVoST 2 and Massively "
        "Multilingual Speech Translation. In Proceedings of Interspeech 2021."
    ),
    "url": "https://github.com/facebookresearch/covost",
}
MINI = {
    "name": "the mini corpus of slimspeech, spoken by eSpeak NG",
    "licence": "CC0 1.0",
    "citation": None,
    "url": None,
}


def describe_corpora(
    archive: str | Path,
    segments: Sequence[Row],
    configured: Mapping[str, str] | None = None,
    out_of_domain: str | Path | None = None,
) -> list[dict[str, Any]]:
    """A record of the gold corpus and, if there is one, of the out-of-domain corpus.

    Keys: corpus (as in the manifests), role ("gold" or "out_of_domain"), name, licence, citation,
    url (None if unknown), path, sha256 (of an archive that is a file; None for a folder).
    configured: data.corpus of the config, about the gold corpus. Without it ACL 60/60 and the mini
    corpus are recognised by their talks; for another corpus a warning asks for its licence.
    """
    corpus = segments[0]["corpus"]
    facts = dict.fromkeys(KEYS) | dict(configured or _recognised(corpus, segments))
    facts["name"] = facts["name"] or corpus
    if not facts["licence"]:
        logger.warning("%s: its licence is unknown; set data/corpus", archive)
    records = [{"corpus": corpus, "role": "gold", **facts, **_file(Path(archive))}]
    if out_of_domain:
        folder = Path(out_of_domain)
        facts = MINI if folder.is_relative_to(MINI_FOLDER) else COVOST2
        records.append({"corpus": covost.CORPUS, "role": "out_of_domain", **facts, **_file(folder)})
    return records


def _recognised(corpus: str, segments: Sequence[Row]) -> dict[str, str | None]:
    if corpus != acl6060.CORPUS:
        return {}
    talks = {row["talk"] for row in segments}
    if talks <= {talk for split in acl6060.TALKS.values() for talk in split}:
        return ACL6060
    return MINI if all(talk.startswith(MINI_TALK) for talk in talks) else {}


def _file(path: Path) -> dict[str, str | None]:
    return {"path": path.as_posix(), "sha256": file_sha256(path) if path.is_file() else None}
