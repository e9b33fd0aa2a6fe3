# Measure what a system costs to run, alone on the machine: it takes all cores, and one GPU.
rule measure_cost:
    input:
        model=get_system_model,
        system_size="results/{experiment}/{pair}/evaluation/{system}/size.json",
        test="results/{experiment}/{pair}/data/test.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        cost="results/{experiment}/{pair}/evaluation/{system}/cost.json",
    log:
        "logs/{experiment}/{pair}/measure_cost/{system}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/measure_cost/{system}.jsonl"
    conda:
        "../../envs/models.yaml"
    threads: get_all_cores
    resources:
        gpu=1,
        mem_mb=32000,
        runtime="4h",
    params:
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
        # Which systems are measured changes no measurement.
        cost={key: value for key, value in COST.items() if key != "systems"},
    script:
        "../scripts/measure_cost.py"
