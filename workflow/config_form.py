"""Whether a config has the form that the schema describes: its keys, its types, and no secrets.

What the schema cannot say of its content is in config_checks. No Snakemake is in here.

    python workflow/config_form.py FILE    # whether Snakemake can read the file at all
"""

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Config = Mapping[str, Any]

# A password in an address, or a token of the Hub.
SECRET = re.compile(r"://[^/@\s]+@|\bhf_[A-Za-z0-9]{20,}")


# In the schema's patterns, because $ also matches before a line break at the end; as it is printed.
NO_LINE_BREAK = r"(?!\\n)"
# A number to everyone but YAML 1.1, which wants a point in it.
EXPONENT = re.compile(r"[-+]?\d+[eE][-+]?\d+")
LONGEST_MESSAGE = 400  # of the schema, which repeats a value of any length


def file_problem(path: Path) -> str | None:
    """Why a config file cannot be read, with the line if it is known."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        json.dumps(config, default=str, skipkeys=True)  # fails if a list or map holds itself
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror}); check the path"
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return f"{path}, line {line}: not UTF-8; save the file as UTF-8"
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).split("\n")[0]
        return f"{path}{place}: not valid YAML ({reason}); correct the file"
    except (ValueError, RecursionError) as error:  # such as a date that does not exist
        return f"{path}: not valid YAML ({error}); correct the file"
    if not isinstance(config, dict):
        return f"{path}: holds no keys; see config/README.md"
    return None


def problem(config: Config) -> str | None:
    """What the schema would not find, or would find with a value that must stay secret."""
    return secret_problem(config) or key_problem(config) or number_problem(config)


def secret_problem(config: Config) -> str | None:
    """Names the keys that hold a secret, without the secret. The config need not fit the schema."""
    places = [place or "top level" for place in _secrets(config, "")]
    if not places:
        return None
    return (
        f"{', '.join(places)}: holds a password or a token, and the config is written beside the "
        "results; remove it and give tokens in the environment (HF_TOKEN) or by `hf auth login`"
    )


def _secrets(value: Any, place: str) -> Iterator[str]:
    items = dict(enumerate(value)) if isinstance(value, list) else value
    for key, item in items.items() if isinstance(items, dict) else ():
        if SECRET.search(str(key)):
            yield place
        else:
            yield from _secrets(item, f"{place}.{key}".lstrip("."))
    if isinstance(value, str) and SECRET.search(value):
        yield place


def key_problem(config: Config) -> str | None:
    """Names the first key that is no text, which the patterns of the schema would let pass."""
    for place, key, _ in _items(config, ""):
        if not isinstance(key, str):
            value = json.dumps(key, default=str)
            return (
                f"{place or 'top level'}: YAML reads a key here as {value} and not as text (yes, "
                "no, on and off are truth values to it); write it in quotes, such as "
                '"no", or choose another name'
            )
    return None


def number_problem(config: Config) -> str | None:
    """Names the first number that is infinite or none, which pass the limits of the schema."""
    for place, key, value in _items(config, ""):
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            return f"{place}.{key}: {value} is not a finite number; give a finite one".lstrip(".")
    return None


def _items(value: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Every key and value of a map, with the place of the map, such as "students.A"."""
    items = dict(enumerate(value)) if isinstance(value, list) else value
    for key, item in items.items() if isinstance(items, dict) else ():
        if isinstance(value, dict):
            yield place, key, item
        yield from _items(item, f"{place}.{key}".lstrip("."))


def repeated_keys(path: Path) -> list[str]:
    """A sentence for each key that stands twice in one map of a config file.

    YAML and JSON silently keep the last. For a file that cannot be read the list is empty.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    problems, nodes, seen = [], [("", root)], set()
    while nodes:
        place, node = nodes.pop()
        if id(node) in seen:  # an alias of another node
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += [(f"{place}.{number}", item) for number, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            continue
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines and name != "<<":
                problems.append(
                    f"{path}: {f'{place}.{name}'.lstrip('.')} stands in line {lines[name]} and "
                    f"again in line {line}, and only the last would count; rename or remove one"
                )
            lines[name] = line
            nodes.append((f"{place}.{name}", value))
    return problems


def schema_problem(error: Any) -> str:
    """Where a config does not fit the schema, and what may be there. error: of jsonschema."""
    place = ".".join(map(str, error.absolute_path)) or "top level"
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = ", ".join(str(key) for key in error.instance if key not in known)
        return f"{place}: unknown key {unknown}; the keys here are {', '.join(known)}"
    hint = f" ({error.schema['description']})" if "description" in error.schema else ""
    is_other_scalar = not isinstance(error.instance, str | list | dict | None)
    if error.validator == "type" and "string" in error.validator_value and is_other_scalar:
        hint += "; write it in quotes"
    if error.validator == "type" and EXPONENT.fullmatch(str(error.instance)):
        hint += "; YAML takes it for text, so write it with a point, such as 5.0e-4"
    message = error.message.replace(NO_LINE_BREAK, "")
    if len(message) > LONGEST_MESSAGE:
        message = f"{message[: LONGEST_MESSAGE // 2]} … {message[-LONGEST_MESSAGE // 2 :]}"
    return f"{place}: {message}{hint}; see config/README.md"


if __name__ == "__main__":
    sys.exit("\n".join(filter(None, map(file_problem, map(Path, sys.argv[1:])))) or None)
