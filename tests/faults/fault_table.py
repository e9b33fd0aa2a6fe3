"""Print what the fault suite counted: python tests/faults/fault_table.py FILE"""

import json
import sys
from pathlib import Path

rows = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
print("| fault | injected | survived | lost |\n| --- | ---: | ---: | ---: |")
for row in rows:
    lost = row["injected"] - row["survived"]
    print(f"| {row['kind']} | {row['injected']} | {row['survived']} | {lost} |")
