# Exports in a serving engine, as users run them: do they give our own words? vLLM cannot live with the
# other packages, so its rule runs in its own environment, as those of COMET do. So does llama.cpp.

VLLM_PYTHON = "python" if CONDA else ".venv-vllm/bin/python"
VLLM_ENVIRONMENT = [] if CONDA else [".venv-vllm/installed"]
GGUF_PYTHON = "python" if CONDA else ".venv-gguf/bin/python"
GGUF_ENVIRONMENT = [] if CONDA else [".venv-gguf/installed"]


# Make the virtual environment of vLLM, where conda does not. `make` makes the same.
rule install_vllm:
    input:
        "envs/vllm.lock",
    output:
        ".venv-vllm/installed",
    log:
        "logs/install_vllm.log",
    localrule: True
    conda:
        "../../envs/snakemake.yaml"
    shell:
        "make {output} > {log} 2>&1"


# Make the virtual environment of llama.cpp in the same way.
use rule install_vllm as install_gguf with:
    input:
        "envs/gguf.lock",
    output:
        ".venv-gguf/installed",
    log:
        "logs/install_gguf.log",


# Translate the test set by our own code, with a student as it was before it was quantised. Where its
# adapter is kept, the export alone has the adapter merged.
use rule translate_test as translate_trained with:
    input:
        model=branch(
            lookup("{student}", within=KEPT_ADAPTERS),
            then="results/{experiment}/{pair}/students/{student}/export/bf16",
            otherwise=get_trained_model,
        ),
        segments="results/{experiment}/{pair}/data/test.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        hypotheses="results/{experiment}/{pair}/students/{student}/parity/own/hypotheses.jsonl",
        translation="results/{experiment}/{pair}/students/{student}/parity/own/translation.json",
    log:
        "logs/{experiment}/{pair}/translate_trained/{student}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/translate_trained/{student}.jsonl"


# Write the test clips as requests to an engine, and the tokens of their prompts.
rule write_requests:
    input:
        model=get_trained_model,
        segments="results/{experiment}/{pair}/data/test.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        requests=temp("results/{experiment}/{pair}/students/{student}/parity/requests.jsonl"),
        prompts="results/{experiment}/{pair}/students/{student}/parity/prompts.jsonl",
    log:
        "logs/{experiment}/{pair}/write_requests/{student}.log",
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=8000,
        runtime="1h",
    params:
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
        clips=lookup("serving/clips", within=config),
    script:
        "../scripts/write_requests.py"


# Let vLLM answer them with an export.
rule run_vllm:
    input:
        environment=ancient(VLLM_ENVIRONMENT),
        model="results/{experiment}/{pair}/students/{student}/export/{form}",
        requests="results/{experiment}/{pair}/students/{student}/parity/requests.jsonl",
    output:
        answers="results/{experiment}/{pair}/students/{student}/parity/vllm/{form}/answers.jsonl",
        engine="results/{experiment}/{pair}/students/{student}/parity/vllm/{form}/engine.json",
    log:
        "logs/{experiment}/{pair}/run_vllm/{student}-{form}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/run_vllm/{student}-{form}.jsonl"
    conda:
        "../../envs/vllm.yaml"
    resources:
        gpu=1,
        mem_mb=32000,
        runtime="4h",
    params:
        python=VLLM_PYTHON,
        precision=lookup("generation/precision", within=config),
    shell:
        "{params.python} workflow/scripts/run_vllm.py --model {input.model:q}"
        " --requests {input.requests:q} --precision {params.precision} --threads {threads}"
        " --answers {output.answers:q} --engine {output.engine:q} --log {log:q}"


# Write an export for llama.cpp.
rule convert_gguf:
    input:
        environment=ancient(GGUF_ENVIRONMENT),
        model="results/{experiment}/{pair}/students/{student}/export/bf16",
    output:
        model=directory("results/{experiment}/{pair}/students/{student}/export/gguf"),
    log:
        "logs/{experiment}/{pair}/convert_gguf/{student}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/convert_gguf/{student}.jsonl"
    conda:
        "../../envs/gguf.yaml"
    resources:
        mem_mb=24000,
        runtime="1h",
    params:
        python=GGUF_PYTHON,
    shell:
        "{params.python} workflow/scripts/convert_gguf.py --model {input.model:q}"
        " --target {output.model:q} --log {log:q}"


# Let llama.cpp's server answer the requests with it.
rule run_llama_cpp:
    input:
        environment=ancient(GGUF_ENVIRONMENT),
        model="results/{experiment}/{pair}/students/{student}/export/gguf",
        requests="results/{experiment}/{pair}/students/{student}/parity/requests.jsonl",
    output:
        answers="results/{experiment}/{pair}/students/{student}/parity/llama.cpp/{form}/answers.jsonl",
        engine="results/{experiment}/{pair}/students/{student}/parity/llama.cpp/{form}/engine.json",
    log:
        "logs/{experiment}/{pair}/run_llama_cpp/{student}-{form}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/run_llama_cpp/{student}-{form}.jsonl"
    conda:
        "../../envs/gguf.yaml"
    resources:
        mem_mb=16000,
        runtime="4h",
    params:
        python=GGUF_PYTHON,
    shell:
        "{params.python} workflow/scripts/run_llama_cpp.py --model {input.model:q} --form {wildcards.form}"
        " --requests {input.requests:q} --threads {threads} --answers {output.answers:q}"
        " --engine {output.engine:q} --log {log:q}"


# Compare an engine's words with our own, and stop where too much is lost.
rule check_parity:
    input:
        answers="results/{experiment}/{pair}/students/{student}/parity/{engine}/{form}/answers.jsonl",
        engine="results/{experiment}/{pair}/students/{student}/parity/{engine}/{form}/engine.json",
        prompts="results/{experiment}/{pair}/students/{student}/parity/prompts.jsonl",
        own="results/{experiment}/{pair}/students/{student}/parity/own/hypotheses.jsonl",
        test="results/{experiment}/{pair}/data/test.jsonl",
    output:
        hypotheses="results/{experiment}/{pair}/students/{student}/parity/{engine}/{form}/hypotheses.jsonl",
        parity="results/{experiment}/{pair}/students/{student}/parity/{engine}/{form}/parity.json",
    log:
        "logs/{experiment}/{pair}/check_parity/{student}-{engine}-{form}.log",
    localrule: True
    conda:
        "../../envs/models.yaml"
    params:
        clips=lookup("serving/clips", within=config),
        threshold=lookup("serving/threshold", within=config),
    script:
        "../scripts/check_parity.py"


# Measure the engine's speed on the clips of the cost, alone on the machine.
rule measure_engine_cost:
    input:
        environment=ancient(VLLM_ENVIRONMENT),
        model="results/{experiment}/{pair}/students/{student}/export/{form}",
        requests="results/{experiment}/{pair}/students/{student}/parity/requests.jsonl",
    output:
        cost="results/{experiment}/{pair}/students/{student}/parity/vllm/{form}/cost.json",
    log:
        "logs/{experiment}/{pair}/measure_engine_cost/{student}-{form}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/measure_engine_cost/{student}-{form}.jsonl"
    conda:
        "../../envs/vllm.yaml"
    threads: get_all_cores
    resources:
        gpu=1,
        mem_mb=32000,
        runtime="4h",
    params:
        python=VLLM_PYTHON,
        precision=lookup("generation/precision", within=config),
        clips=lookup("evaluation/cost/clips", within=config),
        repeats=lookup("evaluation/cost/repeats", within=config),
        batch_sizes=lookup("evaluation/cost/batch_sizes", within=config),
        threads=lookup("evaluation/cost/threads", within=config),
    shell:
        "{params.python} workflow/scripts/measure_engine_cost.py --model {input.model:q}"
        " --requests {input.requests:q} --clips {params.clips} --precision {params.precision}"
        " --repeats {params.repeats} --batch-sizes {params.batch_sizes} --threads {params.threads}"
        " --cost {output.cost:q} --log {log:q}"
