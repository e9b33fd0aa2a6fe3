# Take the hashes of a packed student's files; `sha256sum -c` checks them.
rule hash_student:
    input:
        model="results/{experiment}/{pair}/students/{student}/packed",
    output:
        hashes="results/{experiment}/{pair}/students/{student}/sha256.txt",
    log:
        "logs/{experiment}/{pair}/hash_student/{student}.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    script:
        "../scripts/hash_student.py"


# Lay everything out for people who would rather look than read.
rule write_report:
    input:
        results=RESULTS,
        hashes=collect(
            f"{EXPERIMENT}/{{pair}}/students/{{student}}/sha256.txt",
            pair=config["pairs"],
            student=STAGES,
        ),
        published="workflow/report/published.yaml",
    output:
        page=report(
            "results/{experiment}/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"what": "the whole report"},
        ),
        plots=report(
            directory("results/{experiment}/plots"),
            patterns=["{name}.svg"],
            caption="../report/plot.rst",
            category="Plots",
            labels={"plot": "{name}"},
        ),
        table="results/{experiment}/scores.tex",
    log:
        "logs/{experiment}/write_report.log",
    benchmark:
        "results/{experiment}/benchmarks/write_report.jsonl"
    wildcard_constraints:
        experiment=config["experiment"],
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        config=config,
    script:
        "../scripts/write_report.py"


# The same of whatever is there, in place; for a run that failed, and may be asked for at any time.
rule report_so_far:
    input:
        published="workflow/report/published.yaml",
    log:
        f"logs/{config['experiment']}/report_so_far.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        config=config,
    script:
        "../scripts/write_report.py"
