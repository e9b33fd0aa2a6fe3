"""The description of served models, and the address of the server."""

import json
import socket
from contextlib import closing

import numpy as np
import pytest
from safetensors.numpy import save_file

from slimspeech.errors import InputError
from slimspeech.web import server
from slimspeech.web.models import describe

CONFIG = {
    "model_type": "qwen2_audio",
    "text_config": {"model_type": "qwen2"},
    "audio_config": {"model_type": "qwen2_audio_encoder"},
}


@pytest.fixture
def make_model(tmp_path):
    """A directory with two decoder layers of 6 weights each; with a pair, also slimspeech.json."""

    def make(path: str, pair: str | None = None, system: str | None = None) -> str:
        directory = tmp_path / path
        directory.mkdir(parents=True)
        (directory / "config.json").write_text(json.dumps(CONFIG))
        tensors = {
            f"language_model.model.layers.{n}.weight": np.zeros((2, 3), np.float32) for n in (0, 1)
        }
        save_file(tensors, directory / "model.safetensors")
        if pair:
            prompt = {"system": "Translate.", "user": "{source} to {target}"}
            facts = {"format": 1, "pair": pair, "prompt": prompt, "system": system}
            (directory / "slimspeech.json").write_text(json.dumps(facts))
        return str(directory)

    return make


def test_models_have_short_distinct_names(make_model, tmp_path):
    directories = [
        make_model("x/A", "en-de", "A"),
        make_model("y/A", "en-zh", "A"),
        make_model("teacher"),
        make_model("v1/B", "en-de", "B"),
        make_model("v2/B", "en-de", "B"),
    ]
    models = describe(directories, "German")
    assert [(m.name, m.title, m.words) for m in models] == [
        ("A", "English to German", True),
        ("A", "English to Chinese", False),
        ("teacher", "English to German", True),
        (str(tmp_path / "v1/B"), "English to German", True),
        (str(tmp_path / "v2/B"), "English to German", True),
    ]
    identities = [model.id for model in models]
    assert identities[:3] == ["en-de-A", "en-zh-A", "en-de-teacher"]
    assert len(set(identities)) == 5
    assert not any("/" in identity for identity in identities)
    assert (models[0].layers, models[0].weights, models[0].quantization) == (2, 12, "none")
    assert "directory" not in models[0].public()


def test_equal_ids_are_numbered(make_model):
    models = describe([make_model("my model"), make_model("my+model")], "de")
    assert [model.id for model in models] == ["en-de-my-model", "en-de-my-model-2"]


def test_a_model_without_languages_needs_an_option(make_model):
    with pytest.raises(InputError, match="give --to"):
        describe([make_model("m")])


def test_a_free_port_is_bound_and_a_used_port_refused():
    with closing(server.bind("127.0.0.1", 0)) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        assert server.address(bound) == f"http://127.0.0.1:{port}/"
        assert server.is_loopback(bound)
        with pytest.raises(InputError, match=f"127.0.0.1, port {port}: cannot listen"):
            server.bind("127.0.0.1", port)


def test_loopback_addresses_are_recognised():
    with closing(server.bind("127.0.0.1", 0)) as bound:
        assert server.own_names("127.0.0.1", bound) == ("127.0.0.1",)
    with closing(server.bind("0.0.0.0", 0)) as bound:
        assert not server.is_loopback(bound)
        assert socket.gethostname() in server.own_names("0.0.0.0", bound)
        assert server.address(bound).startswith("http://localhost:")
    with pytest.raises(InputError, match="no.such.host.invalid"):
        server.bind("no.such.host.invalid", 0)
    with pytest.raises(InputError, match="port 70000"):
        server.bind("127.0.0.1", 70_000)
