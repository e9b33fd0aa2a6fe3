from snakemake.utils import min_version

min_version("9.20")

# A config given by --configfile stands alone: nothing of this one is mixed into it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/screen.smk"
include: "workflow/rules/config.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/mini.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/teacher.smk"
include: "workflow/rules/distillation.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/pruning.smk"
include: "workflow/rules/budget.smk"
include: "workflow/rules/student.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/submission.smk"
include: "workflow/rules/comet.smk"
include: "workflow/rules/release.smk"
include: "workflow/rules/serving.smk"
include: "workflow/rules/teacher_engine.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/seeds.smk"


# What `snakemake --report` opens with.
report: "workflow/report/workflow.rst"


# What the experiment is for: scores of every system, the packed students, the pruned checkpoints,
# and the report of it all.
rule all:
    default_target: True
    input:
        RESULTS,
        REPORT,
    localrule: True
