"""The translation prompt, in the model's chat template, or plain for a model without one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from slimspeech import languages
from slimspeech.errors import InputError
from slimspeech.models.validation.chat_template import find_problem

if TYPE_CHECKING:  # transformers is slow to import
    from transformers import ProcessorMixin

# Ends every turn of the ChatML template that Qwen2-Audio-Instruct was trained on. Here it also ends
# a translation after a plain prompt: it is one token in all Qwen2 tokenizers.
END_OF_TURN = "<|im_end|>"


@dataclass(frozen=True)
class Prompt:
    """A system message, and a user's request with {source} and {target} for the languages.

    languages: names by code, for languages that slimspeech.languages lacks. template: "chat", or
    "plain", which leaves the system message out.
    """

    system: str
    user: str
    languages: dict[str, str]
    template: str = "chat"

    @classmethod
    def of(cls, prompt: dict[str, str], names: dict[str, str]) -> Prompt:
        """prompt, names: `prompt` and `languages` of the config."""
        return cls(languages=names, **prompt)

    def request(self, pair: str) -> str:
        """The request for a pair such as "en-de".

        Raises InputError for a language without an English name, and for other names in braces.
        """
        source, target = (languages.name(code, self.languages) for code in pair.split("-", 1))
        try:
            return self.user.format(source=source, target=target)
        except (LookupError, ValueError, AttributeError) as error:
            raise InputError(
                f"prompt.user: {self.user!r} has other braces than {{source}} and {{target}}; "
                "write a brace that the model shall read twice, {{ or }}"
            ) from error

    def render(self, processor: ProcessorMixin, pair: str) -> str:
        """The prompt up to the translation, with one audio placeholder.

        As published (paper, section 3): system message, then audio and request in one user turn.
        A plain prompt is audio and request alone.
        """
        if self.template == "plain":
            audio = (processor.audio_bos_token, processor.audio_token, processor.audio_eos_token)
            return "".join(audio) + self.request(pair)
        messages = [
            {"role": "system", "content": self.system},
            {
                "role": "user",
                "content": [{"type": "audio"}, {"type": "text", "text": self.request(pair)}],
            },
        ]
        variables = {"messages": messages, "add_generation_prompt": True}
        try:
            _require_end(processor, variables)
            return processor.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise InputError(
                f"{processor.tokenizer.name_or_path}: the chat template cannot render the prompt "
                f"({error}); copy it from the model that these weights come from, or set "
                "prompt.template: plain"
            ) from error


def _require_end(processor: ProcessorMixin, variables: dict[str, Any]) -> None:
    """Raises TemplateError for a template that would not end."""
    variables = processor.tokenizer.special_tokens_map | variables
    if problem := find_problem(json.dumps(processor.chat_template), json.dumps(variables)):
        raise TemplateError(problem)
