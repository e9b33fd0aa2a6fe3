"""What tests/faults/test_models.py does to a sound model directory, by the name of the case."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

Spoil = Callable[[Path], object]


class Evil:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch /tmp/owned-by-a-pickle",)


PICKLE = pickle.dumps(Evil())
CODE = b"import os; os.system('touch /tmp/owned-by-code')\n"


def file(name: str, data: bytes) -> Spoil:
    def spoil(directory: Path) -> None:
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(data)

    return spoil


def link(name: str, target: str) -> Spoil:
    def spoil(directory: Path) -> None:
        (directory / name).unlink(missing_ok=True)
        (directory / name).symlink_to(target)

    return spoil


def moved_out(name: str) -> Spoil:
    """The file itself lies outside, and a link to it in its place."""

    def spoil(directory: Path) -> None:
        target = directory.with_name(f"outside-{name}")
        (directory / name).rename(target)
        (directory / name).symlink_to(target)

    return spoil


def special(name: str, make: Callable[[Path], object]) -> Spoil:
    def spoil(directory: Path) -> None:
        (directory / name).unlink(missing_ok=True)
        make(directory / name)

    return spoil


def pickled_instead(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(PICKLE)


def setting(name: str, place: str, value: Any) -> Spoil:
    """One key of a JSON file, such as text_config.hidden_size, set or added."""

    def spoil(directory: Path) -> None:
        path = directory / name
        whole = json.loads(path.read_text()) if path.exists() else {}
        *folders, last = place.split(".")
        inner = whole
        for key in folders:
            inner = inner.setdefault(key, {})
        inner[last] = value
        path.write_text(json.dumps(whole))

    return spoil


def text(name: str, change: Callable[[str], str]) -> Spoil:
    def spoil(directory: Path) -> None:
        path = directory / name
        path.write_text(change(path.read_text()))

    return spoil


# Weights: the header of model.safetensors changed, or the file written anew.


def header(change: Callable[[dict[str, Any]], object], file: str = "model.safetensors") -> Spoil:
    """The header as JSON, changed in place; the tensors' bytes stay."""

    def spoil(directory: Path) -> None:
        path = directory / file
        data = path.read_bytes()
        end = 8 + struct.unpack("<Q", data[:8])[0]
        found = json.loads(data[8:end])
        changed = change(found)
        head = changed if isinstance(changed, bytes) else json.dumps(found).encode()
        path.write_bytes(struct.pack("<Q", len(head)) + head + data[end:])

    return spoil


def first(entries: dict[str, Any]) -> dict[str, Any]:
    """The entry of the tensor that lies first, of those that are one of the model's."""
    return min(
        (entry for name, entry in entries.items() if name != "__metadata__"),
        key=lambda entry: entry["data_offsets"],
    )


def entry(**values: Any) -> Spoil:
    return header(lambda entries: first(entries).update(values))


def length(value: int) -> Spoil:
    def spoil(directory: Path) -> None:
        path = directory / "model.safetensors"
        path.write_bytes(struct.pack("<Q", value) + path.read_bytes()[8:])

    return spoil


def weights(change: Callable[[bytes], bytes]) -> Spoil:
    def spoil(directory: Path) -> None:
        path = directory / "model.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return spoil


def overlapping(entries: dict[str, Any]) -> None:
    place, other = sorted(
        (entry for name, entry in entries.items() if name != "__metadata__"),
        key=lambda entry: entry["data_offsets"],
    )[:2]
    other["data_offsets"] = place["data_offsets"]
    other["shape"], other["dtype"] = place["shape"], place["dtype"]


def renamed(entries: dict[str, Any]) -> None:
    name = next(name for name in entries if "up_proj" in name)
    entries["another"] = entries.pop(name)


def index(weight_map: Any) -> Spoil:
    """The weights as one shard with an index, to whose entries these are added."""
    shard = "model-00001-of-00001.safetensors"

    def spoil(directory: Path) -> None:
        data = (directory / "model.safetensors").read_bytes()
        head = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
        (directory / "model.safetensors").rename(directory / shard)
        names = [name for name in head if name != "__metadata__"]
        listed = dict.fromkeys(names, shard)
        found = {"weight_map": listed | weight_map if isinstance(weight_map, dict) else weight_map}
        (directory / "model.safetensors.index.json").write_text(json.dumps(found))

    return spoil


def both(*spoils: Spoil) -> Spoil:
    def spoil(directory: Path) -> None:
        for one in spoils:
            one(directory)

    return spoil


# The state of one 4-bit weight, a JSON in a tensor of bytes.

STATE = ".quant_state.bitsandbytes__nf4"


def state(**values: Any) -> Spoil:
    """Its values changed; what grew by it moves all tensors behind."""

    def spoil(directory: Path) -> None:
        path = directory / "model.safetensors"
        data = path.read_bytes()
        end = 8 + struct.unpack("<Q", data[:8])[0]
        head = json.loads(data[8:end])
        name = next(name for name in head if name.endswith(f"up_proj.weight{STATE}"))
        start, stop = head[name]["data_offsets"]
        changed = json.dumps(json.loads(data[end:][start:stop]) | values).encode()
        grown = len(changed) - (stop - start)
        for other in head.values():
            place = other.get("data_offsets")
            if place and place[0] >= stop:
                other["data_offsets"] = [place[0] + grown, place[1] + grown]
        head[name] |= {"data_offsets": [start, start + len(changed)], "shape": [len(changed)]}
        text = json.dumps(head).encode()
        body = data[end:][:start] + changed + data[end:][stop:]
        path.write_bytes(struct.pack("<Q", len(text)) + text + body)

    return spoil


def side_renamed(ending: str) -> Spoil:
    def change(entries: dict[str, Any]) -> None:
        name = next(name for name in entries if name.endswith(f"up_proj.weight.{ending}"))
        entries["another"] = entries.pop(name)

    return header(change)


def template(source: str) -> Spoil:
    return file("chat_template.jinja", source.encode())


def around(source: str) -> Spoil:
    """Something before the model's own template."""
    return text("chat_template.jinja", lambda own: source + own)


DEEP = "[" * 10**5 + "]" * 10**5
JSON = "config.json"
FILES: dict[str, Spoil] = {
    "pickled weights alone": pickled_instead,
    "pickled weights beside": file("pytorch_model.bin", PICKLE),
    "an optimiser's pickle": file("optimizer.pt", PICKLE),
    "a pickle in capitals": file("WEIGHTS.PKL", PICKLE),
    "a pickled array": file("extra.npy", PICKLE),
    "hdf5": file("tf_model.h5", b"\x89HDF"),
    "code of a model": file("modeling_qwen2_audio.py", CODE),
    "code, compiled": file("fast.so", b"\x7fELF"),
    "config links out": moved_out(JSON),
    "weights link out": moved_out("model.safetensors"),
    "tokenizer links to a secret": link("tokenizer.json", "/etc/passwd"),
    "template links to a secret": link("chat_template.jinja", "/etc/shadow"),
    "link to nothing": link("generation_config.json", "nothing.json"),
    "link to itself": link("generation_config.json", "generation_config.json"),
    "config is a pipe": special(JSON, os.mkfifo),
    "tokenizer is a pipe": special("tokenizer.json", os.mkfifo),
    "template is a pipe": special("chat_template.jinja", os.mkfifo),
    "weights are a folder": special("model.safetensors", Path.mkdir),
    "weights are a device": link("model.safetensors", "/dev/zero"),
    "tokenizer of 70 MB": special("tokenizer.json", lambda path: sparse(path, 70 * 10**6)),
    "config of 5 MB": file(JSON, b"{" + b" " * 5 * 10**6 + b"}"),
    "adapter beside": file("adapter_config.json", b'{"base_model_name_or_path": "evil/base"}'),
    "audio tokenizer beside": file("audio_tokenizer_config.json", b"{}"),
    "tokenizer is no tokenizer": file("tokenizer.json", b'{"version": "1.0"}'),
    "tokenizer is random": file("tokenizer.json", bytes(range(256)) * 100),
    "tokenizer is deep": file("tokenizer.json", DEEP.encode()),
}


def sparse(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)


CONFIGS: dict[str, Spoil] = {
    "auto_map": setting(JSON, "auto_map", {"AutoConfig": "evil/repo--configuration.Evil"}),
    "auto_map inside": setting(JSON, "text_config.auto_map", {"AutoModel": "m.M"}),
    "auto_map of the tokenizer": setting(
        "tokenizer_config.json", "auto_map", {"AutoTokenizer": ["t.T", None]}
    ),
    "auto_map of the processor": setting(
        "processor_config.json", "auto_map", {"AutoProcessor": "p.P"}
    ),
    "auto_map of the features": setting(
        "processor_config.json", "feature_extractor.auto_map", {"AutoFeatureExtractor": "f.F"}
    ),
    "trust_remote_code": setting(JSON, "trust_remote_code", True),
    "custom_generate": setting("generation_config.json", "custom_generate", "evil/repo"),
    "kernels of the Hub": setting(JSON, "attn_implementation", "evil/attention"),
    "kernels inside": setting(JSON, "text_config._attn_implementation", "evil/attention"),
    "another config file": setting(JSON, "configuration_files", ["config.4.0.0.json"]),
    "another tokenizer file": setting(
        "tokenizer_config.json", "fast_tokenizer_files", ["tokenizer.4.json"]
    ),
    "vocabulary elsewhere": setting("tokenizer_config.json", "vocab_file", "/etc/passwd"),
    "weights elsewhere": setting(JSON, "transformers_weights", "../../weights.bin"),
    "a further model": setting(
        "processor_config.json",
        "audio_tokenizer",
        {"audio_tokenizer_class": "X", "audio_tokenizer_name_or_path": "evil/repo"},
    ),
    "quantised by another package": setting(JSON, "quantization_config", {"quant_method": "gptq"}),
    "quantised by a word": setting(JSON, "quantization_config", "evil"),
    **{
        f"{value!r} decoder layers": setting(JSON, "text_config.num_hidden_layers", value)
        for value in (10**9, 10**400, 0, -1, "12", 12.0, True, [], 1024, 11, 13)
    },
    "10^9 encoder layers": setting(JSON, "audio_config.encoder_layers", 10**9),
    "hidden size of 10^9": setting(JSON, "text_config.hidden_size", 10**9),
    "hidden size of 2^17": setting(JSON, "text_config.hidden_size", 2**17),
    "vocabulary of 2^24": setting(JSON, "text_config.vocab_size", 2**24),
    "feed-forward of 2^20": setting(JSON, "text_config.intermediate_size", 2**20),
    "no heads": setting(JSON, "text_config.num_attention_heads", 0),
    "seven heads": setting(JSON, "text_config.num_attention_heads", 7),
    "positions of 2^17": setting(JSON, "audio_config.max_source_positions", 2**17),
    "unknown activation": setting(JSON, "text_config.hidden_act", "__import__('os')"),
    "rope of a word": setting(JSON, "text_config.rope_parameters", "evil"),
    "unknown rope": setting(JSON, "text_config.rope_parameters", {"rope_type": "evil"}),
    "dtype that is a function": setting(JSON, "dtype", "load"),
    "another model": setting(JSON, "model_type", "llama"),
    "no model type": setting(JSON, "model_type", None),
    "another decoder": setting(JSON, "text_config.model_type", "mamba"),
    "another encoder": setting(JSON, "audio_config.model_type", "whisper"),
    "decoder that is a list": setting(JSON, "text_config", [1, 2]),
    "cut short": text(JSON, lambda t: t[: len(t) // 2]),
    "empty": file(JSON, b""),
    "a list": file(JSON, b"[]"),
    "deep": file(JSON, DEEP.encode()),
    "random bytes": file(JSON, bytes(range(256)) * 10),
    "utf-16": text(JSON, lambda t: "\ufeff" + t),
    "a number of 10^5 digits": file(JSON, b'{"vocab_size": ' + b"9" * 10**5 + b"}"),
    "10^9 mel bins": setting("processor_config.json", "feature_extractor.feature_size", 10**9),
    "window of 10^9": setting("processor_config.json", "feature_extractor.n_fft", 10**9),
    "a year at once": setting("processor_config.json", "feature_extractor.chunk_length", 10**7),
    "another processor": setting("processor_config.json", "processor_class", "WhisperProcessor"),
    "generation that is none": file("generation_config.json", b"[1]"),
}
WEIGHTS: dict[str, Spoil] = {
    **{f"header of {value} bytes": length(value) for value in (0, 1, 10**8, 2**40, 2**64 - 1)},
    "empty": weights(lambda data: b""),
    "seven bytes": weights(lambda data: data[:7]),
    "cut by a byte": weights(lambda data: data[:-1]),
    "cut to half": weights(lambda data: data[: len(data) // 2]),
    "cut in the header": weights(lambda data: data[:100]),
    "more behind": weights(lambda data: data + b"more"),
    "random bytes": weights(lambda data: bytes(range(256)) * 100),
    "a pickle by that name": weights(lambda data: PICKLE),
    "a page": weights(lambda data: b"<!DOCTYPE html><title>404</title>" * 10),
    "header that is a list": header(lambda entries: b"[]"),
    "header that is deep": header(lambda entries: DEEP.encode()),
    "header cut short": header(lambda entries: json.dumps(entries).encode()[:-10]),
    "overlapping tensors": header(overlapping),
    "a tensor renamed": header(renamed),
    "a tensor without a type": header(lambda entries: first(entries).pop("dtype")),
    "offsets turned round": entry(data_offsets=[512, 0]),
    "offsets below the start": entry(data_offsets=[-512, 0]),
    "offsets beyond the end": entry(data_offsets=[2**40, 2**40 + 512]),
    "offsets of 2^64": entry(data_offsets=[0, 2**64]),
    "offsets that are text": entry(data_offsets=["0", "512"]),
    "shape that does not fit": entry(shape=[3, 5]),
    "shape of 10^30": entry(shape=[10**15, 10**15]),
    "shape that overflows": entry(shape=[2**32, 2**32, 2**32]),
    "negative shape": entry(shape=[-1, -512]),
    "shape of fractions": entry(shape=[1.5]),
    "shape of 10^5 ones": entry(shape=[1] * 10**5),
    "unknown type": entry(dtype="EVIL"),
    "type that is a number": entry(dtype=7),
    "type of another width": entry(dtype="F64"),
    "index that climbs": index({"a": "../../outside.safetensors"}),
    "index to the root": index({"a": "/etc/passwd"}),
    "index to a pickle": index({"a": "pytorch_model.bin"}),
    "index of a missing shard": index({"a": "model-00002-of-00002.safetensors"}),
    "index of a missing tensor": index({"a": "model-00001-of-00001.safetensors"}),
    "index of numbers": index({"a": 1}),
    "index that is a list": index(["model.safetensors"]),
    "index that is no JSON": both(index({}), file("model.safetensors.index.json", b"{")),
}
PACKED: dict[str, Spoil] = {
    "state of another shape": state(shape=[10**6, 10**6]),
    "state of a negative shape": state(shape=[-384, -128]),
    "state without a shape": state(shape=None),
    "blocks of one": state(blocksize=1),
    "blocks of 2^30": state(blocksize=2**30),
    "blocks of none": state(blocksize=0),
    "outer blocks of none": state(nested_blocksize=0),
    "state of another type": state(quant_type="fp4"),
    "state of a strange type": state(dtype="load"),
    "offset that is none": state(nested_offset=float("nan")),
    "state of 10^5 bytes": state(more="x" * 10**5),
    "scales missing": side_renamed("absmax"),
    "outer scales missing": side_renamed("nested_absmax"),
    "table missing": side_renamed("quant_map"),
    "packed, called plain": text(JSON, lambda t: t.replace("quantization_config", "unused")),
}
TEMPLATES: dict[str, Spoil] = {
    "10^10 letters": around("{{ 'x' * 10000000000 }}"),
    "10^10 letters in a tag": around("{% generation %}{{ 'x' * 10000000000 }}{% endgeneration %}"),
    "a power": around("{{ 9 ** (9 ** (9 ** 9)) }}"),
    "a wide format": around("{{ '%9999999999d' % 1 }}"),
    "loops in loops": around(
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
    ),
    "doubled": around("{% set x = 'x' %}" + "{% set x = x ~ x %}" * 60 + "{{ x }}"),
    "calls itself": around("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}"),
    "asks for the system": around(
        "{{ cycler.__init__.__globals__.os.system('touch /tmp/owned-by-a-template') }}"
    ),
    "asks for all classes": around("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    "changes what it is given": around("{{ messages.append(1) }}"),
    "includes a secret": around("{% include '/etc/passwd' %}"),
    "imports": around("{% import 'os' as os %}"),
    "raises": around("{{ raise_exception('no') }}"),
    "not closed": template("{% for message in messages %}"),
    "no template": template("{{"),
    "of a list": both(
        special("chat_template.jinja", lambda path: None),
        setting("tokenizer_config.json", "chat_template", [1, 2]),
    ),
}
ADAPTER_JSON = "adapter_config.json"
ADAPTERS: dict[str, Spoil] = {
    "pickled weights alone": lambda directory: (directory / "adapter_model.safetensors").rename(
        directory / "adapter_model.bin"
    ),
    "pickled weights beside": file("adapter_model.bin", PICKLE),
    "code": file("adapter.py", CODE),
    "weights link out": moved_out("adapter_model.safetensors"),
    "config is a pipe": special(ADAPTER_JSON, os.mkfifo),
    "imports a package": setting(
        ADAPTER_JSON, "auto_mapping", {"parent_library": "evil", "base_model_class": "X"}
    ),
    "imports Megatron": setting(ADAPTER_JSON, "megatron_config", {"a": 1}),
    "names a package": setting(ADAPTER_JSON, "megatron_core", "evil.core"),
    "a pattern without end": setting(ADAPTER_JSON, "target_modules", "(.+)+(.+)+(.+)+!"),
    "a pattern of ranks": setting(ADAPTER_JSON, "rank_pattern", {"(.+)+(.+)+!": 4}),
    "a pattern to leave out": setting(ADAPTER_JSON, "exclude_modules", "(.+)+(.+)+!"),
    "rank of 10^9": setting(ADAPTER_JSON, "r", 10**9),
    "rank of 2^14": setting(ADAPTER_JSON, "r", 2**14),
    "negative rank": setting(ADAPTER_JSON, "r", -4),
    "of another kind": setting(ADAPTER_JSON, "peft_type", "PROMPT_TUNING"),
    "of no kind": setting(ADAPTER_JSON, "peft_type", None),
    "first matrices from elsewhere": setting(ADAPTER_JSON, "init_lora_weights", "eva"),
    "no JSON": file(ADAPTER_JSON, b"{"),
    "deep": file(ADAPTER_JSON, DEEP.encode()),
    "header of 2^40 bytes": special(
        "adapter_model.safetensors", lambda path: path.write_bytes(struct.pack("<Q", 2**40))
    ),
    "overlapping tensors": header(overlapping, "adapter_model.safetensors"),
    "a tensor renamed": header(
        lambda entries: entries.update(
            another=entries.pop(next(name for name in entries if "lora_A" in name))
        ),
        "adapter_model.safetensors",
    ),
}
