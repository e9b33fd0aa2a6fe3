# What a run shows. Included first, so that the checks of the config are shown like all else.

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
    SCREEN.succeed([f"{EXPERIMENT}/scores.md", f"{EXPERIMENT}/report.html"])


onerror:
    SCREEN.fail(get_report_command())
