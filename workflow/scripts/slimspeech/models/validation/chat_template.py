"""What a chat template may do: lay a prompt out, and nothing that runs for hours or fills memory.

transformers renders templates in Jinja's sandbox, which keeps them from files, modules and the
system. It does not keep `{{ "x" * 10**10 }}` or loops in loops from a machine's time and memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from slimspeech.errors import InputError

LONGEST = 2**15  # characters
DEEPEST = 3  # loops in loops: over messages, and over the parts of one
FILTERS = frozenset({"trim", "length", "lower", "upper", "default", "string", "tojson"})
FUNCTIONS = frozenset({"namespace", "raise_exception", "strftime_now"})
METHODS = frozenset({"strip", "lstrip", "rstrip", "startswith", "endswith", "get", "items"})
REFUSED = {
    nodes.Mul: "multiplies",
    nodes.Pow: "raises to a power",
    nodes.Macro: "defines a macro",
    nodes.CallBlock: "calls a macro",
    nodes.FilterBlock: "filters a block",
    nodes.AssignBlock: "assigns a block",
    nodes.Include: "includes another",
    nodes.Import: "imports another",
    nodes.FromImport: "imports from another",
    nodes.Extends: "extends another",
    nodes.With: "opens a scope",
}


def check_template(directory: str | Path, template: str | dict[str, str] | None) -> None:
    """Raise InputError if a processor's template, or one of several by name, does more."""
    templates = template if isinstance(template, dict) else {"chat_template": template}
    for name, text in templates.items():
        for problem in () if text is None else _problems(text):
            raise InputError(
                f"{directory}: {name} {problem}, which no prompt needs and which could take a "
                "machine's memory or time; take that of the model's publisher, or set "
                "prompt.template: plain and remove it"
            )


def _problems(text: Any) -> Iterator[str]:
    if not isinstance(text, str) or len(text) > LONGEST:
        yield f"is no text of at most {LONGEST} characters"
        return
    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        tree = environment.parse(text)
    except (TemplateSyntaxError, RecursionError) as error:
        yield f"is no template ({str(error)[:100]})"
        return
    yield from _of_node(tree, loops=0)


def _of_node(node: nodes.Node, loops: int) -> Iterator[str]:
    if does := REFUSED.get(type(node)):
        yield does
    if isinstance(node, nodes.For):
        loops += 1
        if loops > DEEPEST or node.recursive:
            yield f"has loops in loops more than {DEEPEST} deep"
    elif isinstance(node, nodes.Mod) and not _is_counter(node.left):
        yield "formats"
    elif isinstance(node, nodes.Call) and not _is_known(node.node):
        yield f"calls {_name(node.node)}"
    elif isinstance(node, nodes.Filter) and not _is_plain(node):
        yield f"uses the filter {node.name}"
    elif isinstance(node, nodes.Assign) and _grows(node.node):
        yield "lets a text grow"
    for child in node.iter_child_nodes():
        yield from _of_node(child, loops)


def _is_plain(node: nodes.Filter) -> bool:
    """Without arguments, by which tojson indents as far as it is told; default needs one."""
    return node.name in FILTERS and not node.kwargs and (not node.args or node.name == "default")


def _is_counter(value: nodes.Node) -> bool:
    """Such as loop.index0; the sign % formats where a text is before it."""
    return isinstance(value, nodes.Getattr) and getattr(value.node, "name", "") == "loop"


def _is_known(function: nodes.Node) -> bool:
    if isinstance(function, nodes.Getattr):
        return function.attr in METHODS
    return isinstance(function, nodes.Name) and function.name in FUNCTIONS


def _name(function: nodes.Node) -> str:
    return getattr(function, "attr", getattr(function, "name", "something"))


def _grows(value: nodes.Node) -> bool:
    """Whether an assigned value joins two that are no constants: doubled forty times it is huge."""
    return any(
        sum(not isinstance(part, nodes.Const) for part in _parts(node)) > 1
        for node in [value, *value.find_all(nodes.Node)]
    )


def _parts(node: nodes.Node) -> list[nodes.Node]:
    """What a node puts together into one value."""
    if isinstance(node, nodes.Add):
        return [node.left, node.right]
    if isinstance(node, nodes.Concat):
        return node.nodes
    if isinstance(node, nodes.List | nodes.Tuple):
        return node.items
    if isinstance(node, nodes.Dict):
        return [pair.value for pair in node.items]
    if isinstance(node, nodes.Call):
        return [*node.args, *(pair.value for pair in node.kwargs)]
    return []
