"""What the IWSLT compression track asks for: plain text, and a description of the system.

The track wants UTF-8 text with one sentence a line, and of each system a name of a fixed form, its
exact size, number of parameters, techniques, and data if it is unconstrained
(https://iwslt.org/2027/compression).
"""

import gzip
import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimspeech.artifacts import Row, write_text
from slimspeech.data.raw_segments import WHOLE_SET
from slimspeech.evaluation.metrics import in_order, talks_of
from slimspeech.evaluation.resegmentation import file_name
from slimspeech.formatting import file_size, weight_count
from slimspeech.release.card.tables import recipe_steps
from slimspeech.release.metadata import used_corpora
from slimspeech.systems import BASE, is_pruned

DECLARED = ("weights", "bytes", "quantization", "decoder_layers")
TRACK = "IWSLT27_ModelCompression"
TRACK_PAIRS = ("en-de", "en-ar", "en-zh")
# The only training data of the constrained condition in 2025 and 2026. The page of 2027 lists none.
TRACK_DATA = "ACL 60/60"


@dataclass(frozen=True)
class Storage:
    """Bytes of a model: of all its files, and of what `torch.save` writes of its weights."""

    files: int
    state_dict: int


def plain_lines(hypothesis_rows: Sequence[Row], segments: Sequence[Row]) -> dict[str, list[str]]:
    """The lines of each talk, one a segment, in the manifest's order; an empty one stays empty.

    A line break within a hypothesis becomes a space, so that each segment keeps one line.
    Raises InputError if hypotheses and segments do not match, or there are none.
    """
    texts = in_order(hypothesis_rows, segments)
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


def write_whole_set(lines: Mapping[str, Sequence[str]], folder: str | Path) -> None:
    """Write all lines as one more talk, for references that do not show where a talk begins."""
    texts = [line for talk_lines in lines.values() for line in talk_lines]
    write_text(Path(folder, file_name(WHOLE_SET)), "".join(f"{line}\n" for line in texts))


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


def model_name(declared: Row, corpora: Sequence[Row], submission: Row) -> str:
    """The name of the system in the track's form.

    declared, corpora: content of declaration.json and corpus.json. submission: of the config.
    """
    kind = "primary" if declared["system"] == submission["primary"] else "contrastive"
    condition, _ = _condition(_used(declared, corpora))
    return f"{submission['team']}_{TRACK}_{declared['pair']}_{condition}_{kind}"


def description(
    name: str,
    declared: Row,
    size: Row,
    teacher: Row,
    corpora: Sequence[Row],
    base: str,
    storage: Storage,
) -> str:
    """The answers to the track's form, in Markdown.

    name: from model_name(). declared, size, corpora: content of declaration.json, size.json and
    corpus.json. teacher: of the config. base: name of the base model.
    """
    recipe = declared["recipe"]
    used = _used(declared, corpora)
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
        f"- Model name: `{name}`"
        + ("" if pair in TRACK_PAIRS else f"; the form lists {', '.join(TRACK_PAIRS)} only"),
        f"- Storage size: {storage.files:,} bytes on disk ({file_size(storage.files)}), of which "
        f"weights {size['bytes']:,} bytes; {storage.state_dict:,} bytes by `torch.save` of the "
        f"state dict, which is {storage.state_dict / 1024**3:.2f} GiB",
        f"- Number of parameters: {size['weights']:,} ({weight_count(size['weights'])}); a 4-bit "
        "weight counts as one",
        f"- Decoder layers: {size['decoder_layers']}",
        f"- Derived from: {base}",
        f"- Condition: {condition}; {reason}",
        *(f"- Data: {c['name']}, {c['licence'] or 'licence not known'}" for c in used),
        "",
        "Compression techniques:",
        "",
        *(f"- {step}: {text}" for step, text in steps),
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


def _used(declared: Row, corpora: Sequence[Row]) -> list[Row]:
    """The corpora that the system was trained on."""
    return [] if declared["system"] == BASE else used_corpora(corpora, declared["recipe"])


def _condition(used: Sequence[Row]) -> tuple[str, str]:
    """The track's condition, and the reason for it."""
    if not used:
        return "constrained", "it was not trained"
    allowed = all(corpus["name"] == TRACK_DATA for corpus in used)
    names = " and ".join(corpus["name"] for corpus in used)
    return ("constrained" if allowed else "unconstrained"), f"trained on {names} alone"
