"""Print what the fault suite counted: python tests/faults/fault_table.py FILE"""

import json
import sys
from collections import Counter
from pathlib import Path

injected, survived = Counter(), Counter()
for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
    row = json.loads(line)
    injected[row["kind"]] += row["injected"]
    survived[row["kind"]] += row["survived"]
print("| fault | injected | survived | lost |\n| --- | ---: | ---: | ---: |")
for kind, number in [*injected.items(), ("together", injected.total())]:
    right = survived.total() if kind == "together" else survived[kind]
    print(f"| {kind} | {number} | {right} | {number - right} |")
