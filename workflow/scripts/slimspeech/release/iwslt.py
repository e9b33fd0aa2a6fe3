"""What the IWSLT compression track asks for: plain text, and a description of the system.

The track wants UTF-8 text with one sentence a line, and of each system its exact size on disk,
number of parameters, techniques, and data if it is unconstrained
(https://iwslt.org/2026/compression).
"""

import gzip
import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from slimspeech.artifacts import Row, write_text
from slimspeech.evaluation.metrics import align, talks_of
from slimspeech.evaluation.resegmentation import file_name
from slimspeech.formatting import file_size, weight_count
from slimspeech.release.card.tables import recipe_steps
from slimspeech.release.metadata import used_corpora
from slimspeech.systems import BASE, is_pruned

DECLARED = ("weights", "bytes", "quantization", "decoder_layers")
TRACK_DATA = "ACL 60/60"
TRACK_BASES = ("Qwen/Qwen2-Audio-7B", "Qwen/Qwen2-Audio-7B-Instruct")
# The smallest size in bytes of each bin of 2025; a size on a boundary belongs to the larger bin.
BINS = {1: 2 * 10**9, 2: 10**9, 3: 500 * 10**6, 4: 200 * 10**6, 5: 0}
ABOVE_BINS = 4 * 10**9


def plain_lines(hypothesis_rows: Sequence[Row], segments: Sequence[Row]) -> dict[str, list[str]]:
    """The lines of each talk, one a segment, in the manifest's order; an empty one stays empty.

    A line break within a hypothesis becomes a space, so that each segment keeps one line.
    Raises InputError if hypotheses and segments do not match, or there are none.
    """
    texts, _ = align(hypothesis_rows, segments)
    return {
        talk: [" ".join(texts[index].split()) for index in indices]
        for talk, indices in talks_of(segments).items()
    }


def write_lines(lines: Mapping[str, Sequence[str]], file: str | Path, folder: str | Path) -> None:
    """Write all lines into `file`, and those of each talk into `folder`/{talk}.txt."""
    texts = {
        talk: "".join(f"{line}\n" for line in talk_lines) for talk, talk_lines in lines.items()
    }
    for talk, text in texts.items():
        write_text(Path(folder, file_name(talk)), text)
    write_text(file, "".join(texts.values()))


def declaration(
    pair: str, system: str, lines: Mapping[str, Sequence[str]], size: Row, recipe: Row | None
) -> Row:
    """The content of declaration.json. size: content of size.json. recipe: of a student."""
    return {
        "pair": pair,
        "system": system,
        **{key: size[key] for key in DECLARED},
        "recipe": recipe,
        "talks": {talk: len(texts) for talk, texts in lines.items()},
    }


def description(
    declared: Row, size: Row, teacher: Row, corpora: Sequence[Row], base: str, storage: int
) -> str:
    """The answers to the track's form, in Markdown.

    declared, size, corpora: content of declaration.json, size.json and corpus.json. teacher: of
    the config. base: name of the base model. storage: bytes of all files of the model.
    """
    recipe = declared["recipe"]
    used = [] if declared["system"] == BASE else used_corpora(corpora, recipe)
    condition, reason = _condition(used)
    pair = declared["pair"]
    if recipe:
        steps = recipe_steps(recipe, teacher, size)
    elif is_pruned(declared["system"]):
        steps = [("system", "layers removed from the fine-tuned model, without repair")]
    else:
        steps = [("system", "not compressed; it is here for comparison")]
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
        *(f"- {step}: {description}" for step, description in steps),
        "",
        "Lines per talk:",
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
    """Write a .tar.gz with one folder, `name`; the same files always give the same bytes."""
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


def _condition(used: Sequence[Row]) -> tuple[str, str]:
    """The track's condition, and the reason for it."""
    if not used:
        return "constrained", "it was not trained"
    allowed = all(corpus["name"] == TRACK_DATA for corpus in used)
    names = " and ".join(corpus["name"] for corpus in used)
    return ("constrained" if allowed else "unconstrained"), f"trained on {names} alone"


def _bin(storage: int) -> str:
    if storage >= ABOVE_BINS:
        return "above the bins of 2025, of which the largest ends at 4 GB"
    return f"bin {next(number for number, least in BINS.items() if storage >= least)} of 2025"
