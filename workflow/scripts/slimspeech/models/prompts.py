"""The translation prompt: in the model's own chat template, or plain, for a model without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from slimspeech import languages
from slimspeech.errors import InputError

if TYPE_CHECKING:  # what a prompt says is known without the library, which is slow to import
    from transformers import ProcessorMixin

# Ends every turn of the ChatML template that Qwen2-Audio-Instruct was trained on, and here a
# translation after a plain prompt too: all Qwen2 tokenizers have it as one token.
END_OF_TURN = "<|im_end|>"


@dataclass(frozen=True)
class Prompt:
    """What the model is asked: a system message, and a request with {source} and {target}.

    template: "chat", or "plain", which leaves the system message out.
    """

    system: str
    user: str
    languages: dict[str, str]
    template: str = "chat"

    @classmethod
    def of(cls, prompt: dict[str, str], names: dict[str, str]) -> Prompt:
        """From the config's `prompt` and its `languages`, the names of those we do not know."""
        return cls(languages=names, **prompt)

    def request(self, pair: str) -> str:
        """The user's sentence for a pair such as "en-de".

        Raises InputError for a language whose English name is not known.
        """
        source, target = pair.split("-", 1)
        return self.user.format(
            source=languages.name(source, self.languages),
            target=languages.name(target, self.languages),
        )

    def render(self, processor: ProcessorMixin, pair: str) -> str:
        """The whole prompt up to where the translation begins, with one audio placeholder.

        The published wording (paper, section 3): system, then audio and request in one user turn;
        for a model that is not tuned to chat, audio and request alone.
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
        try:
            return processor.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise InputError(
                f"the model's chat template cannot lay out the prompt ({error}); copy it from the "
                "model that these weights come from, or set prompt.template: plain"
            ) from error
