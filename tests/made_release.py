"""A release with invented measurements, of any packed directory or of no model at all."""

from pathlib import Path
from typing import Any

from slimspeech.checksums import sha256_lines
from slimspeech.release.card.card import model_card
from slimspeech.release.metadata import Measurements, compose_layers, describe
from slimspeech.release.package import write_release

TRAINING = {
    "epochs": 3,
    "learning_rate": 1e-05,
    "batch_size": 4,
    "gradient_accumulation": 2,
    "scheduler": "cosine",
}
CONFIG: dict[str, Any] = {
    "experiment": "mine",
    "prompt": {
        "system": "You are a professional translator.",
        "user": "Translate the {source} speech into {target}:",
        "template": "chat",
    },
    "languages": {},
    "generation": {"max_new_tokens": 40},
    "base": {
        "model": "results/models/Qwen2-Audio-7B-Instruct",
        "hub": {"repository": "Qwen/Qwen2-Audio-7B-Instruct", "revision": "0" * 39 + "1"},
    },
    "teacher": {"model": None, "training": TRAINING},
    "data_split": "talks",
    "search_split": "validation",
    "recipe": {
        "layers_removed": 2,
        "criterion": "chrf",
        "quantization": "nf4",
        "stages": [
            {"method": "full", "data": {"gold": 1, "distilled": 1}, "training": TRAINING},
            {
                "method": "qlora",
                "data": {"gold": 1, "distilled": 2},
                "training": TRAINING,
                "lora": {"r": 64, "alpha": 128},
            },
        ],
    },
    "release": {
        "license": "apache-2.0",
        "license_name": None,
        "license_link": None,
        "base_model": None,
        "datasets": ["ymoslem/acl-6060"],
    },
}
LAYERS = {"kept": [0, 1, 3, 5], "removed": [4, 2]}
SIGNATURES = {"bleu": "nrefs:1|case:mixed|version:2.6.0", "chrf++": "nrefs:1|nw:2|version:2.6.0"}
CORPORA = [
    {
        "corpus": "acl6060",
        "role": "gold",
        "name": "ACL 60/60",
        "licence": "CC BY 4.0",
        "citation": "Salesky et al. 2023.",
        "url": "https://aclanthology.org/2023.iwslt-1.2/",
        "path": "/home/somebody/secret/acl6060.zip",
        "sha256": "ab" * 32,
    }
]


def size(weights: int, file_bytes: int, quantization: str, layers: int) -> dict[str, Any]:
    dtype = ["nf4"] if quantization == "nf4" else ["BF16"]
    return {
        "weights": weights,
        "decoder_layers": layers,
        "bytes": file_bytes,
        "quantization": quantization,
        "dtypes_by_part": {"decoder": dtype, "embedding": ["BF16"]},
        "weights_by_part": {"decoder": weights // 2, "embedding": weights // 2},
        "bytes_by_part": {"decoder": file_bytes // 2, "embedding": file_bytes // 2},
    }


def metric(score: float, retention: float) -> dict[str, float]:
    return {
        "score": score,
        "low": score - 1.25,
        "high": score + 1.5,
        "difference": 0.0,
        "difference_low": 0.0,
        "difference_high": 0.0,
        "p_value": 0.5,
        "retention": retention,
        "retention_low": retention - 2,
        "retention_high": retention + 2,
    }


COMPARISON = {
    "pair": "en-de",
    "segments": 100,
    "resamples": 1000,
    "seed": 12345,
    "systems": {
        "base": {"bleu": metric(30.123, 80.0), "chrf++": metric(50.0, 83.3)},
        "teacher": {"bleu": metric(37.5, 100.0), "chrf++": metric(60.0, 100.0)},
        "pruned-02": {"bleu": metric(1.0, 2.0), "chrf++": metric(2.0, 3.0)},
        "B": {"bleu": metric(36.789, 98.1), "chrf++": metric(59.4, 99.0)},
    },
    "signatures": SIGNATURES,
}
SPREAD = {"median": 0.5, "low": 0.4, "high": 0.6}
COST = {
    "device": "CPU, 1 thread",
    "threads": 1,
    "compute_dtype": "bfloat16",
    "repeats": 3,
    "clips": 8,
    "audio_seconds": 31.4,
    "load_seconds": SPREAD,
    "peak_memory_bytes": 5 * 10**9,
    "memory_kind": "rss",
    "weights": 1,
    "bytes": 1,
    "batches": [
        {
            "batch_size": number,
            "best": number == 8,
            "seconds": SPREAD,
            "real_time_factor": SPREAD,
            "tokens_per_second": SPREAD,
            "peak_memory_bytes": 5 * 10**9,
        }
        for number in (1, 4, 8)
    ],
    "out_of_memory": [],
}
SIZES = {
    "base": size(8_397_094_912, 16_790_000_000, "none", 32),
    "teacher": size(8_397_094_912, 16_790_000_000, "none", 32),
    "B": size(6_777_929_728, 5_610_000_000, "nf4", 24),
}


def made_facts(
    packed: Path,
    sizes: dict[str, Any] = SIZES,
    costs: dict[str, Any] | None = None,
    comparison: dict[str, Any] | None = COMPARISON,
    pair: str = "en-de",
    vocabulary: dict[str, Any] | None = None,
    packing: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """slimspeech.json of student B of `packed`. changes: of CONFIG, by key."""
    if costs is None:
        costs = dict.fromkeys(sizes, COST)
    measured = Measurements(sizes, costs, comparison, vocabulary, packing)
    layers = compose_layers(LAYERS, [])
    return describe("B", pair, CONFIG | changes, layers, measured, CORPORA, packed)


def made_packed(folder: Path) -> Path:
    """A directory with the file names of a packed student."""
    packed = folder / "packed"
    packed.mkdir(parents=True)
    (packed / "config.json").write_text('{"model_type": "qwen2_audio"}')
    (packed / "model.safetensors").write_bytes(bytes(range(256)) * 50)
    (packed / "tokenizer.json").write_text('{"ä": 1}', encoding="utf-8")
    (packed / ".snakemake_timestamp").touch()
    extractor = '{"feature_extractor": {"n_samples": 480000, "sampling_rate": 16000}}'
    (packed / "processor_config.json").write_text(extractor)
    return packed


def made_release(packed: Path, facts: dict[str, Any] | None = None) -> Path:
    """The release of a packed directory, beside it."""
    facts = facts or made_facts(packed)
    release = packed.parent / "release"
    write_release(packed, release, facts, model_card(facts), sha256_lines(packed))
    return release
