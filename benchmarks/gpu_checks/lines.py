"""The lines of a step's table, kept in a file so that those before a crash or a limit remain."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MEASURED, COMPUTED, FAILED, SKIPPED = "measured", "computed", "failed", "skipped"
LONGEST = 200  # characters of a reason


@dataclass(frozen=True)
class Line:
    """text: the result, or why it failed or was skipped. values: the result in numbers."""

    step: str
    name: str
    status: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)


class Lines:
    """Collects the lines of one step."""

    def __init__(self, step: str, path: Path):
        self.step = step
        self.path = path

    def add(self, name: str, status: str, text: str, **values: Any) -> None:
        line = Line(self.step, name, status, text[:LONGEST], values)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")

    def measured(self, name: str, text: str, **values: Any) -> None:
        self.add(name, MEASURED, text, **values)

    def skipped(self, name: str, reason: str) -> None:
        self.add(name, SKIPPED, reason)

    def expect(self, good: bool, name: str, text: str, **values: Any) -> None:
        """A result that is measured if it is as it should be, and else failed."""
        self.add(name, MEASURED if good else FAILED, text, **values)

    @contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """What goes wrong inside is this line's failure; the lines after it are still tried."""
        try:
            yield
        except Exception as error:
            print(f"{name}: {error!r}", file=sys.stderr)
            self.add(name, FAILED, reason(error))


def reason(error: BaseException) -> str:
    """The first line of an error, with its type."""
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def read_lines(path: Path) -> list[Line]:
    """The lines in a file, without one that a kill cut short."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(Line(**json.loads(text)))
        except json.JSONDecodeError:
            break
    return lines
