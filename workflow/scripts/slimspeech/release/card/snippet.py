"""The Python code of a model card, which uses transformers and nothing of this project."""

import json
from collections.abc import Mapping
from typing import Any

from slimspeech import families
from slimspeech.models.prompts import Prompt

REQUIREMENTS = ("torch", "transformers", "bitsandbytes", "accelerate", "soundfile", "soxr")

IMPORT_PEFT = "import peft  # without it, from_pretrained leaves out the adapter\n"
LOAD = """\
import soundfile
import soxr
import torch
from transformers import AutoProcessor, {model_class}

directory = "."
processor = AutoProcessor.from_pretrained(directory)
model = {model_class}.from_pretrained(
    directory, dtype=torch.bfloat16, device_map="auto"
)
"""
LOAD_BY_LOADER = """\
import soundfile
import soxr
from load_student import load
from transformers import AutoProcessor

directory = "."
processor = AutoProcessor.from_pretrained(directory)
model = load(directory, device_map="auto")
"""
READ_AUDIO = """
rate = processor.feature_extractor.sampling_rate
audio, file_rate = soundfile.read("talk.wav", dtype="float32", always_2d=True)
audio = soxr.resample(audio.mean(axis=1), file_rate, rate)
"""
CHAT_PROMPT = """
messages = [
{system}    {{
        "role": "user",
        "content": [
            {{"type": "audio"}},
            {{"type": "text", "text": {request}}},
        ],
    }},
]
prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
"""
TRANSLATE = """\
inputs = processor(text=prompt, audio=[audio], sampling_rate=rate, return_tensors="pt")
tokens = model.generate(**inputs.to(model.device), max_new_tokens={limit}, do_sample=False)
answer = tokens[:, inputs["input_ids"].shape[1] :]
print(processor.batch_decode(answer, skip_special_tokens=True)[0].strip())
"""
# For families whose own processor asks for more than speech.
LOAD_PARTS = """\
import soundfile
import soxr
import torch
{import_model}
directory = "."
{load_model}
"""
READ_FOR_PARTS = READ_AUDIO.replace("processor.feature_extractor", "extractor")
TRANSLATE_PARTS = """\
inputs = {{name: tensor.to(model.device) for name, tensor in inputs.items()}}
tokens = model.generate(**inputs, max_new_tokens={limit}, do_sample=False)
answer = tokens[0, inputs["input_ids"].shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True).strip())
"""


def needs_loader(facts: Mapping[str, Any]) -> bool:
    """Whether the embedding is 4-bit, which transformers cannot load without load_student.py."""
    return "nf4" in facts["size"]["dtypes_by_part"].get("embedding", [])


def has_adapter(facts: Mapping[str, Any]) -> bool:
    """Whether an adapter lies beside the 4-bit weights, which transformers loads by peft."""
    return "adapter" in facts["size"]["weights_by_part"]


def requirements(facts: Mapping[str, Any]) -> list[str]:
    """The packages that the code needs."""
    return [*REQUIREMENTS, *(["peft"] if has_adapter(facts) else [])]


def snippet(facts: Mapping[str, Any]) -> str:
    """Python that prints the translation of talk.wav; it runs in the folder of the model's files.

    facts: content of slimspeech.json. The prompt is the one that the student was trained with.
    """
    return (IMPORT_PEFT if has_adapter(facts) else "") + _code(facts)


def _code(facts: Mapping[str, Any]) -> str:
    family = families.by_type(facts["model_type"])
    prompt = Prompt.of(facts["prompt"], facts["languages"])
    request = prompt.request(facts["pair"])
    if family.card_code and prompt.template == "chat":
        return _by_parts(facts, *family.card_code(prompt.system, request)).strip()
    if prompt.template == "plain":
        make_prompt = f"\nprompt = {_quoted(''.join(family.audio_marks) + request)}\n"
    else:
        make_prompt = CHAT_PROMPT.format(system=_system(prompt), request=_quoted(request))
    own = LOAD.format(model_class=family.model_class)
    load = LOAD_BY_LOADER if needs_loader(facts) else own
    translate = TRANSLATE.format(limit=facts["generation"]["max_new_tokens"])
    return (load + READ_AUDIO + make_prompt + translate).strip()


def _by_parts(facts: Mapping[str, Any], load_parts: str, make_inputs: str) -> str:
    """The code with tokenizer and feature extractor by themselves."""
    name = families.by_type(facts["model_type"]).model_class
    import_model = f"from transformers import {name}\n"
    load_model = f'model = {name}.from_pretrained(directory, dtype="auto", device_map="auto")'
    if needs_loader(facts):
        import_model = "from load_student import load\n"
        load_model = 'model = load(directory, device_map="auto")'
    load = LOAD_PARTS.format(import_model=import_model, load_model=load_model)
    translate = TRANSLATE_PARTS.format(limit=facts["generation"]["max_new_tokens"])
    return load + load_parts + READ_FOR_PARTS + make_inputs + translate


def _system(prompt: Prompt) -> str:
    """The line of the system message, or nothing."""
    if prompt.system is None:
        return ""
    return f'    {{"role": "system", "content": {_quoted(prompt.system)}}},\n'


def _quoted(text: str) -> str:
    """A Python literal in double quotes, on one line."""
    return json.dumps(text, ensure_ascii=False)
