# The mini world is fixed: its seeds and sizes are numbers here, not configuration.


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
        directory("results/mini_base/corpus"),
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


# Train the mini base model from random weights. Its result is shipped in resources/mini/base.
rule train_mini_base:
    input:
        corpus="results/mini_base/corpus",
    output:
        model=directory("results/mini_base/model"),
        curve="results/mini_base/curve.jsonl",
    log:
        "logs/mini/train_mini_base.log",
    benchmark:
        "results/mini_base/benchmarks/train_mini_base.jsonl"
    conda:
        "../../envs/qwen2audio.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=8000,
    params:
        seed=1,
        vocabulary=2048,
        workspace="results/mini_base/checkpoints",
        prompt={
            "system": "You are a professional translator.",
            "user": "Translate the {source} speech into {target}:",
        },
        training={
            "epochs": 1.6,
            "learning_rate": 1.0e-3,
            "batch_size": 24,
            "warmup_ratio": 0.05,
            "weight_decay": 0.01,
            "checkpoint_steps": 500,
        },
    script:
        "../scripts/train_mini_base.py"
