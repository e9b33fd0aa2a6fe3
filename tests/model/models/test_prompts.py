import re
from copy import deepcopy
from dataclasses import replace

import pytest

from slimspeech.errors import InputError

# The wording of the paper (section 3) in the chat format of Qwen2-Audio-Instruct.
PUBLISHED = """<|im_start|>system
You are a professional translator.<|im_end|>
<|im_start|>user
Audio 1: <|audio_bos|><|AUDIO|><|audio_eos|>
Translate the English speech into {language}:<|im_end|>
<|im_start|>assistant
"""


def test_the_published_prompt(prompt, processor):
    assert prompt.render(processor, "en-de") == PUBLISHED.format(language="German")
    assert prompt.render(processor, "en-zh") == PUBLISHED.format(language="Chinese")


def test_markers_of_the_prompt_are_single_tokens(prompt, processor):
    text = prompt.render(processor, "en-de")
    for marker in set(re.findall(r"<\|\w+\|>", text)):
        assert len(processor.tokenizer(marker).input_ids) == 1


def test_plain_prompt_is_what_the_base_model_was_trained_on(prompt, processor):
    """The form on the model card of Qwen2-Audio-7B."""
    text = replace(prompt, template="plain").render(processor, "en-de")
    expected = "<|audio_bos|><|AUDIO|><|audio_eos|>Translate the English speech into German:"
    assert text == expected


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_a_second_place_for_the_audio_is_told(prompt, processor, template):
    """As in the facts of a release that were changed by hand; the config's are checked before."""
    wrong = replace(prompt, template=template, user="<|AUDIO|> into {target}:")
    with pytest.raises(InputError, match="2 times and must have it once"):
        wrong.ids(processor, "en-de", audio_tokens=9)


def test_a_template_without_a_place_for_the_audio_is_told(prompt, processor):
    mute = deepcopy(processor)
    mute.chat_template = "{{ messages[-1]['content'][1]['text'] }}"
    with pytest.raises(InputError, match="0 times and must have it once.*chat template"):
        prompt.ids(mute, "en-de", audio_tokens=9)
