# What a run shows. Included first, so that the checks of the config are shown like all else.

import os
import sys

sys.path[:0] = [f"{workflow.basedir}/workflow", f"{workflow.basedir}/workflow/scripts"]
from screen import MINI_TIME, OTHER_TIME, show

SCREEN = show(workflow)


onstart:
    SCREEN.begin(
        f"Experiment {config['experiment']} ({', '.join(config['pairs'])})",
        expected=MINI_TIME if config["base"]["model"] == "resources/mini/base" else OTHER_TIME,
        cores=workflow.cores if workflow.local_exec else None,
        models={rule.name for rule in workflow.rules if "gpu" in rule.resources},
    )


onsuccess:
    SCREEN.succeed(
        [f"{EXPERIMENT}/{name}" for name in ("scores.md", "seeds.md", "report.html")]
    )


onerror:
    SCREEN.fail(get_report_command())


def get_report_command():
    """How the report of a run that failed is written."""
    files = [os.path.relpath(path) for path in workflow.configfiles]
    if len(files) == 1:
        return f"make report CONFIG={files[0]}"
    return f"snakemake --cores 1 report_so_far --configfile {' '.join(files)}"
