"""Whether a chat template ends, tried in a process with little time and memory.

transformers renders templates in Jinja's sandbox, which keeps them from files, modules and the
system, but not from endless loops or from `{{ "x" * 10**10 }}`. The process is this file.
"""

import functools
import json
import subprocess
import sys

SECONDS, MEMORY, LONGEST = 2, 2**29, 2**20  # of processor time; bytes; characters of a prompt


@functools.cache
def find_problem(template: str, variables: str) -> str | None:
    """What a template does instead of ending, in words.

    template, variables: JSON of the template, and of what it is rendered with.
    Errors that Jinja itself reports are left to whoever renders the template.
    """
    command = [sys.executable, "-I", __file__]
    texts = json.dumps([template, variables])
    process = subprocess.run(command, input=texts, capture_output=True, text=True)
    if process.returncode == 0:
        return None
    lines = process.stderr.strip().splitlines() or ["killed"]
    return f"it takes more than {SECONDS} s, {MEMORY} bytes or {LONGEST} characters: {lines[-1]}"


def _render() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from jinja2 import TemplateError
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The tag of transformers that marks what a model says."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser):
            next(parser.stream)
            return parser.parse_statements(["name:endgeneration"], drop_needle=True)

    def raise_exception(message):
        raise TemplateError(message)

    template, variables = map(json.loads, json.load(sys.stdin))
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = json.dumps
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": lambda form: form}
    try:
        text = environment.from_string(template).render(**variables)
    except (TemplateError, TypeError, ValueError):
        return
    if len(text) > LONGEST:
        sys.exit(f"{len(text)} characters")


if __name__ == "__main__":
    _render()
