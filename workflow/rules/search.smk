# The segments of all searches of a pair.
rule choose_segments:
    input:
        segments=f"results/{{experiment}}/{{pair}}/data/{config['pruning']['split']}.jsonl",
    output:
        segments="results/{experiment}/{pair}/pruning/segments.jsonl",
    log:
        "logs/{experiment}/{pair}/choose_segments.log",
    priority: 2
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    params:
        clips=lookup("pruning/clips", within=config),
        order=lookup("pruning/order", within=config),
    script:
        "../scripts/choose_segments.py"


# What the decoder hears, once for every search: the audio encoder is never pruned.
rule encode_clips:
    input:
        teacher=TEACHER_MODEL,
        segments=SEARCH_SEGMENTS,
        audio="results/{experiment}/data/audio",
    output:
        embeddings="results/{experiment}/{pair}/pruning/embeddings.safetensors",
    log:
        "logs/{experiment}/{pair}/encode_clips.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/encode_clips.jsonl"
    priority: 2
    conda:
        "../../envs/models.yaml"
    resources:
        gpu=1,
        mem_mb=40000,
        runtime="1h",
    params:
        precision=lookup("generation/precision", within=config),
    script:
        "../scripts/encode_clips.py"


# Score what the searches start from: every layer, on the clips that each removal is scored on.
rule score_unpruned:
    input:
        teacher=TEACHER_MODEL,
        segments=SEARCH_SEGMENTS,
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
        "../../envs/models.yaml"
    resources:
        gpu=1,
        mem_mb=40000,
        runtime="1h",
    params:
        metric=lookup("pruning/metric", within=config),
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
    script:
        "../scripts/score_unpruned.py"


# What each criterion takes from the config: no more than changes its scores, so that no other key
# runs it again.
MEASURES = {
    # A race goes by the metric of the search, so none is run for COMET.
    **{
        criterion: PROTECTED
        | {
            "criterion": "chrf",
            "metric": config["pruning"]["metric"],
            "racing": config["pruning"]["racing"] and criterion != "comet",
        }
        for criterion in systems.TRANSLATING
    },
    "loss": PROTECTED | {"criterion": "loss"},
    "kl": PROTECTED | {"criterion": "kl"},
    "block_influence": PROTECTED | {"criterion": "block_influence"},
    "angular": PROTECTED | {"block": config["pruning"]["iterations"], "criterion": "angular"},
}


# For a shortlist: measure every removal the cheap way.
rule propose_layers:
    input:
        teacher=TEACHER_MODEL,
        layers=get_previous_layers,
        segments=SEARCH_SEGMENTS,
        audio="results/{experiment}/data/audio",
    output:
        proposal="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/proposal.csv",
    log:
        "logs/{experiment}/{pair}/propose_layers/{criterion}_{k}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/propose_layers/{criterion}_{k}.jsonl"
    priority: 2
    conda:
        "../../envs/models.yaml"
    resources:
        gpu=1,
        mem_mb=40000,
        runtime="1h",
    params:
        search=MEASURES[config["pruning"]["shortlist"]["by"]],
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
    script:
        "../scripts/propose_layers.py"


# For a shortlist: its proposal, and how many of the proposed layers are measured. Other criteria
# measure every layer that may be removed.
PROPOSAL = branch(
    evaluate("{criterion} == 'shortlist'"),
    then=["results/{experiment}/{pair}/pruning/shortlist/iter_{k}/proposal.csv"],
)
SHORTLIST_SIZE = lookup(
    "{criterion}", within={"shortlist": config["pruning"]["shortlist"]["size"]}, default=0
)


# Measure what the removal of each layer costs, for a part of the layers.
rule score_layers:
    input:
        teacher=TEACHER_MODEL,
        layers=get_previous_layers,
        segments=SEARCH_SEGMENTS,
        audio="results/{experiment}/data/audio",
        embeddings=branch(
            evaluate(f"{{criterion}} in {systems.TRANSLATING}"),
            then=["results/{experiment}/{pair}/pruning/embeddings.safetensors"],
        ),
        # The divergence from the teacher is measured on the teacher's own words.
        translations=branch(
            evaluate("{criterion} == 'kl'"),
            then=["results/{experiment}/{pair}/pruning/iter_00/hypotheses.jsonl"],
        ),
        proposal=PROPOSAL,
    output:
        shard="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/shards/{scatteritem}.json",
    log:
        "logs/{experiment}/{pair}/score_layers/{criterion}_{k}_{scatteritem}.log",
    benchmark:
        "results/{experiment}/{pair}/benchmarks/score_layers/{criterion}_{k}_{scatteritem}.jsonl"
    priority: 2
    conda:
        "../../envs/models.yaml"
    resources:
        gpu=1,
        mem_mb=40000,
        runtime="8h",
    params:
        search=lookup("{criterion}", within=MEASURES),
        shortlist=SHORTLIST_SIZE,
        prompt=lookup("prompt", within=config),
        languages=lookup("languages", within=config),
        generation=lookup("generation", within=config),
    script:
        "../scripts/score_layers.py"


# A part of an iteration. What measures all layers in one pass gains nothing from parts.
SHARD = "results/{{experiment}}/{{pair}}/pruning/{{criterion}}/iter_{{k}}/shards/{scatteritem}.json"


# Put the parts of an iteration together, after a check that they belong together.
rule gather_scores:
    input:
        shards=branch(
            evaluate(f"{{criterion}} in {systems.ONE_PASS}"),
            then=[SHARD.format(scatteritem="1-of-1")],
            otherwise=gather.layers(SHARD),
        ),
    output:
        scores="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/scores.csv",
        hypotheses="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/hypotheses.jsonl",
    log:
        "logs/{experiment}/{pair}/gather_scores/{criterion}_{k}.log",
    priority: 2
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
        comet=branch(
            evaluate("{criterion} == 'comet'"),
            then=["results/{experiment}/{pair}/pruning/comet/iter_{k}/comet.csv"],
        ),
        segments=SEARCH_SEGMENTS,
        proposal=PROPOSAL,
    output:
        layers="results/{experiment}/{pair}/pruning/{criterion}/iter_{k}/layers.json",
    log:
        "logs/{experiment}/{pair}/select_layer/{criterion}_{k}.log",
    wildcard_constraints:
        criterion="|".join(systems.MEASURED),
    priority: 2
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    params:
        protected=list(PROTECTED.values()),
        shortlist=SHORTLIST_SIZE,
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
        criterion="|".join(systems.unmeasured_criteria(config)),
    localrule: True
    conda:
        "../../envs/scoring.yaml"
    params:
        protected=list(PROTECTED.values()),
        listed=lookup("{criterion}/{pair}", within=config["pruning"]["sets"], default=[]),
    script:
        "../scripts/select_layer_by_place.py"


# Which layers each search removes, by how much, and how far the searches agree.
rule tabulate_layers:
    input:
        layers=[
            "results/{{experiment}}/{pair}/pruning/{criterion}/iter_{iteration:02d}/layers.json".format(
                **removal
            )
            for removal in REMOVALS
        ],
        segments=collect(SEARCH_SEGMENTS, pair=config["pairs"], allow_missing=True),
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
        languages=lookup("languages", within=config),
        pairs=config["pairs"],
        order=lookup("pruning/order", within=config),
    script:
        "../scripts/tabulate_layers.py"
