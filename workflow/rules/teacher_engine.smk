# The teacher's translations of its training clips by vLLM, for large sets: distillation.engine. The clips
# are shared out to distillation.shards engines, each a job. Before them, vLLM translates the test set,
# and nothing else is done if it loses too much against our own code.

ENGINE = "results/{experiment}/{pair}/distillation/vllm"
ENGINE_LOGS = "logs/{experiment}/{pair}"
ENGINE_BENCHMARKS = "results/{experiment}/{pair}/benchmarks"


# Write the teacher as vLLM takes it.
use rule export_student as export_teacher with:
    input:
        model=TEACHER_MODEL,
        adapter=[],
    output:
        model=temp(directory(f"{ENGINE}/model")),
    log:
        f"{ENGINE_LOGS}/export_teacher.log",
    benchmark:
        f"{ENGINE_BENCHMARKS}/export_teacher.jsonl"


# Write the test clips as requests to it.
use rule write_requests as write_teacher_requests with:
    input:
        model=TEACHER_MODEL,
        segments="results/{experiment}/{pair}/data/test.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        requests=temp(f"{ENGINE}/parity/requests.jsonl"),
        prompts=f"{ENGINE}/parity/prompts.jsonl",
    log:
        f"{ENGINE_LOGS}/write_teacher_requests.log",


# Let vLLM answer them.
use rule run_vllm as run_teacher_in_vllm with:
    input:
        environment=ancient(VLLM_ENVIRONMENT),
        model=f"{ENGINE}/model",
        requests=f"{ENGINE}/parity/requests.jsonl",
    output:
        answers=f"{ENGINE}/parity/answers.jsonl",
        engine=f"{ENGINE}/parity/engine.json",
    log:
        f"{ENGINE_LOGS}/run_teacher_in_vllm.log",
    benchmark:
        f"{ENGINE_BENCHMARKS}/run_teacher_in_vllm.jsonl"


# Compare its words with our own, and stop where too much is lost.
use rule check_parity as check_teacher_parity with:
    input:
        answers=f"{ENGINE}/parity/answers.jsonl",
        engine=f"{ENGINE}/parity/engine.json",
        prompts=f"{ENGINE}/parity/prompts.jsonl",
        own="results/{experiment}/{pair}/evaluation/teacher/hypotheses.jsonl",
        test="results/{experiment}/{pair}/data/test.jsonl",
    output:
        hypotheses=f"{ENGINE}/parity/hypotheses.jsonl",
        parity=f"{ENGINE}/parity/parity.json",
    log:
        f"{ENGINE_LOGS}/check_teacher_parity.log",


# Write a share of the training clips as requests.
use rule write_requests as write_train_requests with:
    input:
        model=TEACHER_MODEL,
        segments="results/{experiment}/{pair}/data/train.jsonl",
        audio="results/{experiment}/data/audio",
    output:
        requests=temp(f"{ENGINE}/{{scatteritem}}/requests.jsonl"),
        prompts=temp(f"{ENGINE}/{{scatteritem}}/prompts.jsonl"),
    log:
        f"{ENGINE_LOGS}/write_train_requests/{{scatteritem}}.log",
    params:
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
        clips=None,


# Let vLLM translate it.
use rule run_vllm as translate_train_in_vllm with:
    input:
        environment=ancient(VLLM_ENVIRONMENT),
        parity=f"{ENGINE}/parity/parity.json",
        model=f"{ENGINE}/model",
        requests=f"{ENGINE}/{{scatteritem}}/requests.jsonl",
    output:
        answers=f"{ENGINE}/{{scatteritem}}/answers.jsonl",
        engine=f"{ENGINE}/{{scatteritem}}/engine.json",
    log:
        f"{ENGINE_LOGS}/translate_train_in_vllm/{{scatteritem}}.log",
    benchmark:
        f"{ENGINE_BENCHMARKS}/translate_train_in_vllm/{{scatteritem}}.jsonl"


# Put the translations of all shares together.
rule gather_translations:
    input:
        segments="results/{experiment}/{pair}/data/train.jsonl",
        answers=gather.clips(
            "results/{{experiment}}/{{pair}}/distillation/vllm/{scatteritem}/answers.jsonl"
        ),
        prompts=gather.clips(
            "results/{{experiment}}/{{pair}}/distillation/vllm/{scatteritem}/prompts.jsonl"
        ),
    output:
        hypotheses=f"{ENGINE}/translations.jsonl",
    log:
        f"{ENGINE_LOGS}/gather_translations.log",
    localrule: True
    conda:
        "../../envs/models.yaml"
    script:
        "../scripts/gather_translations.py"
