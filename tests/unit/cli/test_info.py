"""What `slimspeech info` makes of a release whose facts were changed by hand."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from made_release import made_facts, made_packed

from slimspeech.cli.info import text
from slimspeech.errors import InputError

# What describe() measures or checks itself.
SOUND = {"directory", "facts_from", "pair", "prompt", "languages", "generation", "size"}
OTHERS = (None, -1, "x", ["x"], {"x": 1})


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict[str, Any]:
    """As of describe()."""
    facts = made_facts(made_packed(tmp_path_factory.mktemp("made")))
    return json.loads(json.dumps(facts | {"directory": "student", "facts_from": "slimspeech.json"}))


def places(value: Any, place: tuple = ()) -> Iterator[tuple]:
    """The path of every value inside."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield (*place, key)
        if isinstance(value[key], dict | list):
            yield from places(value[key], (*place, key))


def test_any_other_value_is_shown_or_told(model):
    assert "B of experiment mine" in text(model)
    told = 0
    for *folders, key in places({name: model[name] for name in model.keys() - SOUND - {"others"}}):
        for other in (*OTHERS, KeyError):
            top = (*folders, key)[0]
            changed = model | {top: copy.deepcopy(model[top])}
            node = changed
            for folder in folders:
                node = node[folder]
            if other is KeyError:
                del node[key]
            else:
                node[key] = other
            try:
                assert text(changed)
            except InputError as error:
                assert str(error).startswith("student: its slimspeech.json has values")
                told += 1
    assert told > 100
