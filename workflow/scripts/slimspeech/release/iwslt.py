"""What the IWSLT compression track asks for, in one archive: texts, and what the system is.

The track wants plain text, one sentence a line, and of each system its exact size on disk, number
of parameters, techniques, and data if it is unconstrained (https://iwslt.org/2026/compression).
"""

import gzip
import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slimspeech.formatting import file_size, weight_count
from slimspeech.release.card.tables import recipe_steps
from slimspeech.release.metadata import used_corpora
from slimspeech.systems import BASE, is_pruned

TRACK_DATA = "ACL 60/60"
TRACK_BASES = ("Qwen/Qwen2-Audio-7B", "Qwen/Qwen2-Audio-7B-Instruct")
# Sizes of 2025 in bytes, from the smallest a bin takes; what lies on a boundary goes to the larger.
BINS = {5: 0, 4: 200 * 10**6, 3: 500 * 10**6, 2: 10**9, 1: 2 * 10**9}
ABOVE = 4 * 10**9


def description(
    declared: Mapping[str, Any],
    size: Mapping[str, Any],
    teacher: Mapping[str, Any],
    corpora: Sequence[Mapping[str, Any]],
    base: str,
    storage: int,
) -> str:
    """What the form of the track asks for, in Markdown.

    declared: declaration.json. size: size.json. teacher: of the config. corpora: corpus.json.
    base: name of the base model. storage: bytes of all files of the model.
    """
    recipe = declared["recipe"]
    used = [] if declared["system"] == BASE else used_corpora(corpora, recipe)
    condition, reason = _condition(used)
    pair = declared["pair"]
    steps = [("system", _without_recipe(declared))]
    if recipe:
        steps = recipe_steps(recipe, teacher, size)
    lines = [
        f"# {declared['system']}, {pair}",
        "",
        f"- Model name: `TEAM_IWSLT26_ModelCompression_{pair}_{condition}_primary`, with the short "
        "name of your team; `contrastive` for every run but one",
        f"- Storage size: {storage:,} bytes ({file_size(storage)}), of which weights "
        f"{size['bytes']:,} bytes; {_bin(storage)}",
        f"- Number of parameters: {size['weights']:,} ({weight_count(size['weights'])}); a 4-bit "
        "weight counts as one",
        f"- Decoder layers: {size['decoder_layers']}",
        f"- Derived from: {base}" + ("" if base in TRACK_BASES else ", which is not the track's"),
        f"- Condition: {condition}; {reason}",
        *(f"- Data: {c['name']}, {c['licence'] or 'licence not known'}" for c in used),
        "",
        "Compression techniques:",
        "",
        *(f"- {step}: {what}" for step, what in steps),
        "",
        "Lines a talk:",
        "",
        *(f"- {talk}: {count}" for talk, count in declared["talks"].items()),
    ]
    return "\n".join(lines) + "\n"


def storage_bytes(model: str | Path) -> int:
    """Bytes of all files of a model's directory but hidden ones, such as Snakemake's."""
    return sum(
        path.stat().st_size
        for path in Path(model).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def write_bundle(path: str | Path, name: str, files: Mapping[str, bytes]) -> None:
    """A .tar.gz with one folder, `name`: the same bytes for the same files, whenever it is made."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in sorted(files):
            entry = tarfile.TarInfo(f"{name}/{file}")
            entry.size, entry.mode = len(files[file]), 0o644
            archive.addfile(entry, io.BytesIO(files[file]))
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(gzip.compress(content.getvalue(), mtime=0))
    os.replace(partial, path)


def _condition(used: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The track's word for it, and why."""
    if not used:
        return "constrained", "it was not trained"
    names = " and ".join(corpus["name"] for corpus in used)
    allowed = all(corpus["name"] == TRACK_DATA for corpus in used)
    return ("constrained" if allowed else "unconstrained"), f"trained on {names} alone"


def _without_recipe(declared: Mapping[str, Any]) -> str:
    if is_pruned(declared["system"]):
        return "layers removed from the fine-tuned model, without repair"
    return "not compressed; it is there for comparison"


def _bin(storage: int) -> str:
    if storage >= ABOVE:
        return "above the bins of 2025, of which the largest ends at 4 GB"
    return f"bin {next(n for n, least in reversed(BINS.items()) if storage >= least)} of 2025"
