# Iteration 00: every layer of the teacher is kept.
rule list_layers:
    input:
        teacher=get_teacher,
    output:
        layers="results/{experiment}/{pair}/pruning/iter_00/layers.json",
    log:
        "logs/{experiment}/{pair}/list_layers.log",
    localrule: True
    conda:
        "../../envs/qwen2audio.yaml"
    script:
        "../scripts/list_layers.py"


# What the decoder hears, once for every search: the audio encoder is never pruned.
rule encode_clips:
    input:
        teacher=get_teacher,
        segments=get_search_segments,
        audio="results/{experiment}/data/audio",
    output:
        embeddings="results/{experiment}/{pair}/pruning/embeddings.safetensors",
    log:
        "logs/{experiment}/{pair}/encode_clips.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/encode_clips.jsonl"
    conda:
        "../../envs/qwen2audio.yaml"
    resources:
        gpu=1,
        mem_mb=40000,
        runtime="1h",
    params:
        clips=lookup("pruning/clips", within=config),
        precision=lookup("generation/precision", within=config),
    script:
        "../scripts/encode_clips.py"


# Score what the searches start from: every layer, on the clips that each removal is scored on.
rule score_unpruned:
    input:
        teacher=get_teacher,
        segments=get_search_segments,
        audio="results/{experiment}/data/audio",
        embeddings="results/{experiment}/{pair}/pruning/embeddings.safetensors",
    output:
        score="results/{experiment}/{pair}/pruning/iter_00/score.json",
        hypotheses="results/{experiment}/{pair}/pruning/iter_00/hypotheses.jsonl",
    log:
        "logs/{experiment}/{pair}/score_unpruned.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/score_unpruned.jsonl"
    conda:
        "../../envs/qwen2audio.yaml"
    resources:
        gpu=1,
        mem_mb=40000,
        runtime="1h",
    params:
        clips=lookup("pruning/clips", within=config),
        metric=lookup("pruning/metric", within=config),
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
    script:
        "../scripts/score_unpruned.py"


# For a shortlist: measure every removal the cheap way.
rule propose_layers:
    input:
        teacher=get_teacher,
        layers=get_previous_layers,
        segments=get_search_segments,
        audio="results/{experiment}/data/audio",
    output:
        proposal="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/proposal.csv",
    log:
        "logs/{experiment}/{pair}/propose_layers/{criterion}_{k}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/propose_layers/{criterion}_{k}.jsonl"
    conda:
        "../../envs/qwen2audio.yaml"
    resources:
        gpu=1,
        mem_mb=40000,
        runtime="1h",
    params:
        clips=lookup("pruning/clips", within=config),
        search=get_proposal_search,
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
    script:
        "../scripts/propose_layers.py"


# Measure what the removal of each layer costs, for a part of the layers.
rule score_layers:
    input:
        teacher=get_teacher,
        layers=get_previous_layers,
        segments=get_search_segments,
        audio="results/{experiment}/data/audio",
        embeddings=get_embeddings,
        proposal=get_proposal,
    output:
        shard="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/shards/{scatteritem}.json",
    log:
        "logs/{experiment}/{pair}/score_layers/{criterion}_{k}_{scatteritem}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/score_layers/{criterion}_{k}_{scatteritem}.jsonl"
    conda:
        "../../envs/qwen2audio.yaml"
    resources:
        gpu=1,
        mem_mb=40000,
        runtime="8h",
    params:
        clips=lookup("pruning/clips", within=config),
        search=get_search,
        shortlist=get_shortlist,
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
    script:
        "../scripts/score_layers.py"


# Put the parts of an iteration together, after a check that they belong together.
rule gather_scores:
    input:
        shards=get_shards,
    output:
        scores="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/scores.csv",
        hypotheses="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/hypotheses.jsonl",
    log:
        "logs/{experiment}/{pair}/gather_scores/{criterion}_{k}.log",
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    script:
        "../scripts/gather_scores.py"


# Drop the layer whose removal costs least.
rule select_layer:
    input:
        layers=get_previous_layers,
        scores="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/scores.csv",
        hypotheses="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/hypotheses.jsonl",
        comet=get_layer_scores_by_comet,
        segments=get_search_segments,
        proposal=get_proposal,
    output:
        layers="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/layers.json",
    log:
        "logs/{experiment}/{pair}/select_layer/{criterion}_{k}.log",
    wildcard_constraints:
        criterion="|".join(MEASURED),
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    params:
        clips=lookup("pruning/clips", within=config),
        protected=PROTECTED,
        shortlist=get_shortlist,
    script:
        "../scripts/select_layer.py"


# Drop a layer by its place in the stack or on a list, without measuring.
rule select_layer_by_place:
    input:
        layers=get_previous_layers,
    output:
        layers="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/layers.json",
    log:
        "logs/{experiment}/{pair}/select_layer_by_place/{criterion}_{k}.log",
    wildcard_constraints:
        criterion="|".join(UNMEASURED),
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    params:
        protected=PROTECTED,
        listed=get_listed_layers,
    script:
        "../scripts/select_layer_by_place.py"


# Which layers each search removes, by how much, and how far the searches agree.
rule tabulate_layers:
    input:
        layers=get_all_layers,
    output:
        csv=report(
            "results/{experiment}/layers.csv",
            caption="../report/layers.rst",
            category="Tables",
            labels={"table": "removed layers"},
        ),
        markdown="results/{experiment}/layers.md",
    log:
        "logs/{experiment}/tabulate_layers.log",
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    params:
        removals=REMOVALS,
    script:
        "../scripts/tabulate_layers.py"


# Write the weights of one iteration, made from the teacher and the list of its kept layers.
rule materialize_pruned:
    input:
        teacher=get_teacher,
        layers="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/layers.json",
    output:
        model=directory("results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/model"),
    log:
        "logs/{experiment}/{pair}/materialize_pruned/{criterion}_{k}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/materialize_pruned/{criterion}_{k}.jsonl"
    conda:
        "../../envs/qwen2audio.yaml"
    resources:
        mem_mb=20000,
        runtime="1h",
    script:
        "../scripts/materialize_pruned.py"
