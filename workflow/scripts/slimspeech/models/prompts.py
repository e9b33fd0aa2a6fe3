"""The translation prompt, in the model's chat template, or plain for a model without one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from slimspeech import families, languages
from slimspeech.errors import InputError
from slimspeech.models.validation.chat_template import find_problem

if TYPE_CHECKING:  # transformers is slow to import
    from transformers import ProcessorMixin


@dataclass(frozen=True)
class Prompt:
    """A system message or none, and a user's request with {source} and {target} for the languages.

    languages: names by code, for languages that slimspeech.languages lacks. template: "chat", or
    "plain", which leaves the system message out.
    """

    system: str | None
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
                "write a brace that the model should read twice, {{ or }}"
            ) from error

    def ids(self, processor: ProcessorMixin, pair: str, audio_tokens: int) -> list[int]:
        """The tokens up to the translation, of a clip with so many audio tokens.

        They equal those of the processor when it gets the audio.
        Raises InputError for what the model's prompt cannot say.
        """
        family = families.of_processor(processor)
        if self.template == "chat" and family.prompt_ids:
            request = self.request(pair)
            return family.prompt_ids(processor, self.system, request, audio_tokens)
        _, placeholder, _ = family.audio_marks
        text = self.render(processor, pair)
        if text.count(placeholder) != 1:
            raise InputError(
                f"the prompt has {placeholder} {text.count(placeholder)} times and must have it "
                "once, for the audio; remove it from prompt.system and prompt.user, or copy the "
                "chat template from the model that these weights come from"
            )
        text = text.replace(placeholder, placeholder * audio_tokens)
        return processor.tokenizer(text).input_ids

    def render(self, processor: ProcessorMixin, pair: str) -> str:
        """The prompt up to the translation, with one audio placeholder, by the chat template.

        As published (paper, section 3): system message, then audio and request in one user turn.
        A plain prompt is audio and request alone.
        """
        if self.template == "plain":
            marks = families.of_processor(processor).audio_marks
            return "".join(marks) + self.request(pair)
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        messages = [
            *system,
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
