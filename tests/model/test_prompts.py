import re

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
