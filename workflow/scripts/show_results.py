"""Print the score table of an experiment, and where its students are: show_results.py CONFIG."""

import sys
from pathlib import Path

import yaml

config = yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8"))
results = Path("results", config["experiment"])
print((results / "scores.md").read_text(encoding="utf-8"))
for pair in config["pairs"]:
    for student in config["students"]:
        print(f"Student {student}, {pair}: {results / pair / 'students' / student / 'packed'}")
if (results / "report.html").is_file():
    print(f"Report: {results / 'report.html'}")
