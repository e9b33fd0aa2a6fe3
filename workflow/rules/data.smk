# From the raw archive to 16 kHz segments and the manifests of every pair.
#
# Downloads can be shared between checkouts by `--cache` and their names (docs/caching.md), which
# Snakemake allows for rules without a benchmark.


# Fetch the official archive of ACL 60/60; runs where data.archive is this path.
rule download_acl6060:
    output:
        archive="results/corpora/acl6060.zip",
    log:
        "logs/corpora/download_acl6060.log",
    cache: "hash-omit-software"
    conda:
        "../../envs/download.yaml"
    params:
        url="https://aclanthology.org/attachments/2023.iwslt-1.2.dataset.zip",
        size=948169976,
        sha256="5f2a3855b5f442c83e6461c32e8a8deb6c2b053518b02b957eb4686bacfce7cc",
    script:
        "../scripts/download_acl6060.py"


# Fetch its copy on the Hugging Face Hub; runs where data.archive is this path.
rule download_acl6060_hub:
    output:
        folder=directory("results/corpora/acl6060-hub"),
    log:
        "logs/corpora/download_acl6060_hub.log",
    cache: "hash-omit-software"
    conda:
        "../../envs/download.yaml"
    params:
        repository=lookup("data/hub/repository", within=config, default=""),
        revision=lookup("data/hub/revision", within=config, default=""),
        kind="dataset",
        patterns=["*.parquet"],
    script:
        "../scripts/download_snapshot.py"


# Check the corpus and write each gold segment as 16 kHz mono wav.
rule prepare_segments:
    input:
        archive=lookup("data/archive", within=config),
    output:
        segments="results/{experiment}/data/segments.jsonl",
        audio=directory("results/{experiment}/data/audio"),
    log:
        "logs/{experiment}/prepare_segments.log",
    benchmark:
        "results/{experiment}/benchmarks/prepare_segments.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        pairs=lookup("pairs", within=config),
        languages=lookup("languages", within=config),
        max_seconds=lookup("data/max_seconds", within=config),
        min_seconds=lookup("data/min_seconds", within=config),
        long_segments=lookup("data/long_segments", within=config),
        bad_segments=lookup("data/bad_segments", within=config),
    script:
        "../scripts/prepare_segments.py"


# Keep licence and citation of each corpus beside what was made from it.
rule record_corpora:
    input:
        archive=lookup("data/archive", within=config),
        segments="results/{experiment}/data/segments.jsonl",
    output:
        corpora="results/{experiment}/data/corpus.json",
    log:
        "logs/{experiment}/record_corpora.log",
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        corpus=lookup("data/corpus", within=config, default=None),
        out_of_domain=lookup("data/out_of_domain/folder", within=config, default=None),
    script:
        "../scripts/record_corpora.py"


# Divide the segments into train, validation and test, the same way for every pair.
rule split_manifest:
    input:
        segments="results/{experiment}/data/segments.jsonl",
    output:
        train="results/{experiment}/{pair}/data/train.jsonl",
        validation="results/{experiment}/{pair}/data/validation.jsonl",
        test="results/{experiment}/{pair}/data/test.jsonl",
    log:
        "logs/{experiment}/{pair}/split_manifest.log",
    conda:
        "../../envs/data.yaml"
    params:
        split=lookup("data/split", within=config),
    script:
        "../scripts/split_manifest.py"


# Draw out-of-domain segments for distillation; their clips stay where they are.
rule prepare_out_of_domain:
    input:
        folder=lookup("data/out_of_domain/folder", within=config, default=[]),
    output:
        manifest="results/{experiment}/{pair}/data/out_of_domain.jsonl",
    log:
        "logs/{experiment}/{pair}/prepare_out_of_domain.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/prepare_out_of_domain.jsonl"
    conda:
        "../../envs/data.yaml"
    params:
        size=lookup("data/out_of_domain/size", within=config, default=0),
        seed=lookup("data/out_of_domain/seed", within=config, default=0),
        min_seconds=lookup("data/min_seconds", within=config),
        max_seconds=lookup("data/max_seconds", within=config),
    script:
        "../scripts/prepare_out_of_domain.py"
