# Fetch the base model from the Hugging Face Hub; runs where base.model is below results/models.
rule download_base:
    output:
        model=directory("results/models/{base_model}"),
    log:
        "logs/models/download_base/{base_model}.log",
    cache: "hash-omit-software"
    conda:
        "../../envs/download.yaml"
    params:
        repository=lookup("base/hub/repository", within=config, default=""),
        revision=lookup("base/hub/revision", within=config, default=""),
        kind="model",
        # Weights as safetensors alone: other formats may hold code. Some publishers add a second copy in a layout
        # of their own, consolidated.safetensors.
        patterns=["model*.safetensors", "*.json", "*.txt", "*.jinja"],
    script:
        "../scripts/download_snapshot.py"


# Fine-tune all weights of the base on gold data.
rule train_teacher:
    input:
        model=lookup("base/model", within=config),
        gold="results/{experiment}/{pair}/data/train.jsonl",
        validation="results/{experiment}/{pair}/data/validation.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        model=directory("results/{experiment}/{pair}/teacher"),
        curve="results/{experiment}/{pair}/curves/teacher.jsonl",
    log:
        "logs/{experiment}/{pair}/train_teacher.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/train_teacher.jsonl"
    priority: 2
    conda:
        "../../envs/models.yaml"
    resources:
        **GPUS,
        mem_mb=64000,
        runtime="12h",
    params:
        mix={"gold": 1},
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        training=lookup("teacher/training", within=config),
        seed=get_seed,
        workspace="results/{experiment}/{pair}/checkpoints/teacher",
    script:
        "../scripts/train_full.py"
