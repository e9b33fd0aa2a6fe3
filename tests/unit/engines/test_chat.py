"""Requests to engines and their answers, of which some are nonsense."""

import base64
import io

import numpy as np
import pytest
import soundfile

from slimspeech.engines.batch import read_batch, share
from slimspeech.engines.chat import Answer, read_answer, request
from slimspeech.engines.vllm import reason
from slimspeech.errors import InputError
from slimspeech.models.prompts import Prompt

PROMPT = Prompt("You translate.", "{source} to {target}:", {})
CHOICE = {"message": {"content": " Guten\nTag. "}, "finish_reason": "stop"}
ANSWER = {"choices": [CHOICE], "prompt_token_ids": [1, 2]}


def test_a_request_holds_the_messages_in_order_and_the_audio():
    audio = np.sin(np.arange(1600) / 9).astype(np.float32) / 2
    body = request(audio, 16_000, PROMPT, "en-de", model="m", max_new_tokens=64)
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 64)
    system, user = body["messages"]
    assert system == {"role": "system", "content": "You translate."}
    sound, text = user["content"]
    assert text == {"type": "text", "text": "English to German:"}
    wav = io.BytesIO(base64.b64decode(sound["input_audio"]["data"]))
    samples, rate = soundfile.read(wav, dtype="float32")
    assert rate == 16_000
    assert np.abs(samples - audio).max() < 2**-15


def test_a_plain_prompt_cannot_be_asked():
    plain = Prompt("", "{source} to {target}:", {}, "plain")
    with pytest.raises(InputError, match="plain"):
        request(np.zeros(10), 16_000, plain, "en-de", model="m", max_new_tokens=1)


def test_an_answer_is_read():
    assert read_answer(ANSWER) == Answer("Guten Tag.", False, [1, 2])
    assert read_answer({"choices": [CHOICE | {"finish_reason": "length"}]}).cut


@pytest.mark.parametrize(
    "body",
    [
        {},
        None,
        [],
        "<html>Bad gateway</html>",
        {"choices": []},
        {"choices": [CHOICE, CHOICE]},
        {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]},
        {"choices": [{"text": "of another interface"}]},
    ],
)
def test_nonsense_is_told_in_a_sentence(body):
    with pytest.raises(InputError, match="no translation"):
        read_answer(body)


def response(number: int, body=ANSWER, status: int = 200) -> dict:
    inner = {"status_code": status, "body": body}
    return {"custom_id": str(number), "response": inner, "error": None}


def test_shares_hold_every_row_once_and_in_order():
    rows = [{"id": number} for number in range(10)]
    shares = [share(rows, f"{number}-of-3") for number in (1, 2, 3)]
    assert [row for part in shares for row in part] == rows == share(rows, None)
    assert [len(part) for part in shares] == [3, 3, 4]


def test_a_batch_is_read_in_the_order_of_its_requests():
    other = ANSWER | {"choices": [CHOICE | {"message": {"content": "Hallo."}}]}
    answers = read_batch([response(1, other), response(0)], 2)
    assert [answer.text for answer in answers] == ["Guten Tag.", "Hallo."]


def test_a_batch_that_lacks_a_clip_is_refused():
    with pytest.raises(InputError, match="left out 1 of 2 clips, such as clip 0"):
        read_batch([response(1)], 2)


def test_the_engines_own_words_name_the_error():
    """A wrong number of mel bins, as vLLM says it in place of an answer."""
    failed = {"error": {"message": "input_features dim[1] expected 80, got 128", "code": 400}}
    with pytest.raises(InputError, match="clip 0: .*expected 80, got 128"):
        read_batch([response(0, failed, 400)], 1)


@pytest.mark.parametrize(
    ("log", "code", "words"),
    [
        ("INFO start\nValueError: max_model_len 9000 is above 8192\n", 1, "9000 is above 8192"),
        (
            "AttributeError: no attribute 'cpu_gemm_wna16'\nEngineDeadError: EngineCore "
            "encountered an issue. See stack trace\n",
            0,
            "cpu_gemm_wna16",
        ),
        ("(EngineCore) KeyError: 'x.weight'\nRuntimeError: Engine core init failed", 1, "x.weight"),
        ("nothing", 3, "code 3"),
        ("ValueError: early and harmless", -9, "memory"),
    ],
)
def test_the_reason_why_vllm_ended(log, code, words):
    assert words in reason(log, code)
