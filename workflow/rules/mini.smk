# The mini world is fixed: its seeds and sizes are numbers here, not configuration.

MINI_PROMPT = {
    "system": "You are a professional translator.",
    "user": "Translate the {source} speech into {target}:",
}


# Speak the mini archive, in the layout of ACL 60/60.
rule speak_mini_archive:
    output:
        "results/corpora/mini/acl6060.zip",
    log:
        "logs/mini/speak_mini_archive.log",
    benchmark:
        "results/corpora/mini/benchmarks/speak_mini_archive.jsonl"
    conda:
        "../../envs/mini.yaml"
    params:
        seed=0,
    script:
        "../scripts/speak_mini_archive.py"


# Speak the archive of config/study.yaml: many voices, and a large evaluation part.
rule speak_study_archive:
    output:
        "results/corpora/mini/study.zip",
    log:
        "logs/mini/speak_study_archive.log",
    benchmark:
        "results/corpora/mini/benchmarks/speak_study_archive.jsonl"
    conda:
        "../../envs/mini.yaml"
    params:
        seed=1,
        base_seed=1,
        archive_seed=0,
    script:
        "../scripts/speak_study_archive.py"


# Speak the mini out-of-domain corpus, in the layout of CoVoST 2.
rule speak_mini_covost:
    output:
        directory("results/corpora/mini/covost2"),
    log:
        "logs/mini/speak_mini_covost.log",
    benchmark:
        "results/corpora/mini/benchmarks/speak_mini_covost.jsonl"
    conda:
        "../../envs/mini.yaml"
    threads: 2
    params:
        seed=0,
        size=1500,
    script:
        "../scripts/speak_mini_covost.py"


# Speak what the mini base model learns from; nothing of the mini archive is in it.
rule speak_base_corpus:
    output:
        manifest="results/mini_base/corpus/manifest.jsonl",
        validation="results/mini_base/corpus/validation.jsonl",
        audio=directory("results/mini_base/corpus/audio"),
    log:
        "logs/mini/speak_base_corpus.log",
    benchmark:
        "results/mini_base/benchmarks/speak_base_corpus.jsonl"
    conda:
        "../../envs/mini.yaml"
    params:
        seed=1,
        size=30000,
        held_out=200,
        archive_seed=0,
    script:
        "../scripts/speak_base_corpus.py"


# Random weights in the shape of the paper's base model; its encoder learns to hear, its decoder to read.
rule pretrain_mini_base:
    input:
        gold="results/mini_base/corpus/manifest.jsonl",
        audio="results/mini_base/corpus/audio",
    output:
        model=directory("results/mini_base/pretrained"),
        curve="results/mini_base/curves/pretrained.jsonl",
    log:
        "logs/mini/pretrain_mini_base.log",
    benchmark:
        "results/mini_base/benchmarks/pretrain_mini_base.jsonl"
    conda:
        "../../envs/models.yaml"
    threads: 2
    resources:
        gpu=1,
    params:
        seed=1,
        archive_seed=0,
        vocabulary=2048,
        prompt=MINI_PROMPT,
        pairs=["en-de", "en-zh"],
    script:
        "../scripts/pretrain_mini_base.py"


# Train the mini base model to translate. The result is shipped as resources/mini/base.
rule train_mini_base:
    input:
        model="results/mini_base/pretrained",
        gold="results/mini_base/corpus/manifest.jsonl",
        validation="results/mini_base/corpus/validation.jsonl",
        audio="results/mini_base/corpus/audio",
    output:
        model=directory("results/mini_base/model"),
        curve="results/mini_base/curves/base.jsonl",
    log:
        "logs/mini/train_mini_base.log",
    benchmark:
        "results/mini_base/benchmarks/train_mini_base.jsonl"
    conda:
        "../../envs/models.yaml"
    threads: 2
    resources:
        gpu=1,
    params:
        mix={"gold": 1},
        prompt=MINI_PROMPT,
        languages={},
        training={
            "epochs": 0.6,
            "learning_rate": 1.0e-3,
            "batch_size": 24,
            "gradient_accumulation": 1,
            "scheduler": "cosine",
            "warmup_ratio": 0.05,
            "weight_decay": 0.01,
            "max_grad_norm": 1,
            "precision": "bf16",
            "gradient_checkpointing": False,
            "checkpoint_steps": 500,
            "keep": "last",
            "gpus": 1,
            "nodes": 1,
            "shard": False,
        },
        seed=1,
        workspace="results/mini_base/checkpoints",
    script:
        "../scripts/train_full.py"
