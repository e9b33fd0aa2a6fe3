"""Write the model card of a student: README.md with the Hub's metadata, from slimspeech.json."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from slimspeech import families, languages
from slimspeech.evaluation.metrics import METRICS
from slimspeech.evaluation.parity import describe
from slimspeech.evaluation.score_table import once_each
from slimspeech.evaluation.significance import MIN_SEGMENTS
from slimspeech.formatting import file_size, weight_count
from slimspeech.release.card import tables
from slimspeech.release.card.snippet import has_adapter, needs_loader, requirements, snippet
from slimspeech.release.card.tables import Facts, title
from slimspeech.release.metadata import MINI_BASE, used_corpora

TEMPLATE = "card.md.j2"
TASK = "audio-text-to-text"  # as the Hub calls it
TOY = 10**8  # a model with fewer weights serves only to try the workflow
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# The Hub's ids of metrics; chrF++ is chrF with word pairs. All others are COMET metrics.
HUB_METRICS = {"bleu": "bleu", "chrf": "chrf", "chrf++": "chrf"}
METRIC_ARGUMENTS = {"chrf++": {"word_order": 2}}
# Licences of some base models, by the Hub's identifiers.
BASE_LICENCES = {
    **{
        repository: licence
        for family in families.FAMILIES.values()
        for repository, licence in family.hub_licences.items()
    },
    MINI_BASE: "apache-2.0",
}


def model_card(facts: Facts) -> str:
    """README.md of a release: metadata between two lines of dashes, and the text.

    facts: content of slimspeech.json. The card says what was not measured.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"count": weight_count, "bytes": file_size}
    text = environment.get_template(TEMPLATE).render(**_parts(facts), min_segments=MIN_SEGMENTS)
    return f"---\n{metadata(facts).to_yaml()}\n---\n\n{text}"


def metadata(facts: Facts) -> ModelCardData:
    """The metadata that the Hub reads. What is not known, such as a licence, is left out."""
    four_bit = is_four_bit(facts)
    release = facts["release"]
    tags = ["speech-translation", "audio", facts["model_type"], "slimspeech"]
    tags += ["layer-pruning"] if facts["layers"]["removed"] else []
    tags += ["knowledge-distillation"] if _is_distilled(facts) else []
    tags += ["bitsandbytes", "4-bit"] if four_bit else []
    # The Hub calls a student a "finetune" of its base if it was trained at all.
    trained = not facts["teacher"]["model"] or facts["recipe"]["stages"]
    relation = "finetune" if trained or not four_bit else "quantized"
    base = facts["base_model"] if HUB_ID.fullmatch(facts["base_model"]) else None
    scored = bool(facts["scores"])
    metrics = dict.fromkeys(
        HUB_METRICS.get(metric, "comet") for metric in facts["signatures"] or ()
    )
    return ModelCardData(
        language=facts["pair"].split("-", 1),
        license=release["license"],
        license_name=release["license_name"],
        license_link=release["license_link"],
        library_name="transformers",
        pipeline_tag=TASK,
        base_model=base,
        base_model_relation=relation if base else None,
        datasets=release["datasets"] or None,
        metrics=list(metrics) or None,
        tags=tags,
        model_name=f"{facts['experiment']}-{facts['system']}-{facts['pair']}" if scored else None,
        eval_results=list(_results(facts)) if scored else None,
    )


def is_four_bit(facts: Facts) -> bool:
    return facts["size"]["quantization"] == "nf4"


def _results(facts: Facts) -> Iterator[EvalResult]:
    corpus = _gold(facts)
    source, target = _names(facts)
    for metric, result in facts["scores"][facts["system"]].items():
        yield EvalResult(
            task_type="translation",
            task_name=f"Speech translation, {source} to {target}",
            dataset_type=(facts["release"]["datasets"] or [corpus["corpus"]])[0],
            dataset_name=f"{_one_line(corpus['name'])}, {facts['test']['segments']} test segments",
            dataset_config=facts["pair"],
            dataset_split="test",
            metric_type=HUB_METRICS.get(metric, "comet"),
            metric_name=title(metric),
            metric_value=round(result["score"], 2 if metric in METRICS else 4),
            metric_args=METRIC_ARGUMENTS.get(metric),
        )


def _parts(facts: Facts) -> dict[str, Any]:
    """The variables of the template."""
    source, target = _names(facts)
    base, size = facts["others"].get("base"), facts["size"]
    family = families.by_type(facts["model_type"])
    used = used_corpora(facts["corpora"], facts["recipe"])
    return {
        "facts": facts,
        "tables": tables,
        "title": f"{facts['experiment']} {facts['system']}: {source} speech to {target} text",
        "source": source,
        "target": target,
        "base": _base(facts),
        "base_licence": BASE_LICENCES.get(facts["base_model"]),
        "base_citation": family.citation if facts["base_model"] in family.hub_licences else None,
        "how": _how(facts),
        "of_base": f"{100 * size['bytes'] / base['size']['bytes']:.0f} %" if base else None,
        "toy": size["weights"] < TOY,
        "requirements": " ".join(_requirement(facts, package) for package in requirements(facts)),
        "loader": needs_loader(facts),
        "adapter": has_adapter(facts),
        "cuts": family.window_seconds is None,
        "snippet": snippet(facts),
        "test_corpus": _one_line(_gold(facts)["name"]),
        "signatures": {title(m): text for m, text in (facts["signatures"] or {}).items()},
        "machine": "; ".join(_devices(facts)) if facts["cost"] else None,
        "engines": [describe(parity) for parity in facts["engines"]],
        "used": used,
        "citations": [_one_line(corpus["citation"]) for corpus in used if corpus["citation"]],
        "limits": _limits(facts),
    }


def _limits(facts: Facts) -> Iterator[str]:
    """Sentences about what the measurements do not show."""
    source, target = _names(facts)
    yield (
        f"It was trained for {source} to {target} on the data above, and for nothing else. Other "
        "accents, noise, subjects and languages were not tested."
    )
    yield "It may omit, repeat or invent things; check what matters."
    if facts["scores"]:
        yield (
            "The scores are of one training and one test set. The intervals show how much they "
            "depend on the choice of these segments, not how another training or other speech "
            "would score."
        )
        if facts["data_split"] == "paper":
            yield (
                "The test segments were drawn at random, so the training data has other segments "
                "of the same talks and speakers: the scores for a new speaker may be lower."
            )
        if set(METRICS) >= facts["signatures"].keys():
            yield (
                "The scores compare letters and words; no metric of meaning, such as COMET, was "
                "measured."
            )
    if facts["vocabulary"]:
        yield (
            f"Its vocabulary was chosen for {target}. It can still write any text, but other "
            "languages in many more tokens, and worse."
        )
    if facts["layers"]["removed"] and facts["layers"]["chosen_on"] == "test":
        yield (
            "The layers were chosen by scores on the test segments, so the scores here are too "
            "high."
        )
    if facts["cost"] and all(device.startswith("CPU") for device in _devices(facts)):
        yield "Speed and memory were measured on a CPU; no GPU was tried."


def _devices(facts: Facts) -> list[str]:
    """The devices that speeds were measured on, with their systems if there are several."""
    return once_each({system: cost["device"] for system, cost in tables.costs(facts).items()})


def _is_distilled(facts: Facts) -> bool:
    return any(stage.get("data", {}).get("distilled") for stage in facts["recipe"]["stages"])


def _how(facts: Facts) -> str:
    """What was done to the base model, in words between commas."""
    steps = ["fine-tuned to the task"]
    if removed := facts["layers"]["removed"]:
        layers = len(removed) + len(facts["layers"]["kept"])
        steps.append(f"less {len(removed)} of its {layers} decoder layers")
    if _is_distilled(facts):
        steps.append("trained on translations by the uncompressed model")
    if is_four_bit(facts):
        steps.append("in 4 bits")
    return ", ".join(steps)


def _names(facts: Facts) -> tuple[str, ...]:
    return tuple(languages.name(code, facts["languages"]) for code in facts["pair"].split("-", 1))


def _gold(facts: Facts) -> Mapping[str, Any]:
    return next(corpus for corpus in facts["corpora"] if corpus["role"] == "gold")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _base(facts: Facts) -> str:
    name, revision = facts["base_model"], facts["base_revision"]
    if name == MINI_BASE:
        return f"the {name}"
    return f"`{name}`" + (f" at revision `{revision}`" if revision else "")


def _requirement(facts: Facts, package: str) -> str:
    version = facts["software"].get(package)
    return f"{package}=={version}" if version and package != "torch" else package
