"""Subtitles: their size, their times, and the files that contain them."""

import io
import json
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimspeech.errors import InputError
from slimspeech.longform.subtitles import FORMATS, Layout, Utterance, Writer, cues, timestamp

GERMAN = (
    "Guten Tag, ich freue mich, heute hier zu sein. Wir haben ein Modell gebaut, das Sprache "
    "übersetzt, und es ist sehr klein, aber fast so gut wie sein Lehrer. Vielen Dank!"
)
CHINESE = (
    "大家好，我很高兴今天能来到这里。我们建立了一个能翻译语音的模型 Qwen2-Audio，"
    "它非常小（98%）。谢谢大家！"
)


def written(utterances, form, pair="en-de"):
    file = io.StringIO()
    writer = Writer(form, file, Layout.of(pair[-2:]), pair)
    for utterance in utterances:
        writer.add(utterance)
    writer.finish()
    return file.getvalue()


@pytest.mark.parametrize("language, text", [("de", GERMAN), ("zh", CHINESE)])
@pytest.mark.parametrize("width, count", [(None, None), (20, 1), (10, 3), (100, 5)])
def test_cues_contain_the_whole_text_within_the_given_size_and_time(language, text, width, count):
    layout = Layout.of(language, width, count)
    subtitles = cues(3.0, 15.5, text, layout)
    assert "".join(text.split()) == "".join(
        "".join(line.split()) for cue in subtitles for line in cue.lines
    )
    assert all(1 <= len(cue.lines) <= layout.lines for cue in subtitles)
    assert all(0 < len(line) <= layout.width for cue in subtitles for line in cue.lines)
    assert subtitles[0].start == 3.0 and subtitles[-1].end == pytest.approx(15.5)
    assert all(cue.start < cue.end for cue in subtitles)
    assert all(a.end == b.start for a, b in zip(subtitles, subtitles[1:], strict=False))


def test_time_is_shared_by_length():
    first, second = cues(0.0, 10.0, "Das sind zwanzig Zei. " * 2, Layout(width=21, lines=1))
    assert (first.end, second.end) == (5.0, 10.0)


def test_a_cue_ends_with_a_sentence_where_it_can():
    text = "Das ist der erste Satz. Und das hier ist der zweite Satz, etwas länger als er."
    assert cues(0, 9, text, Layout(width=30))[0].lines == ("Das ist der erste Satz.",)


def test_lines_have_similar_lengths():
    [cue] = cues(0, 5, "Wir haben eine kleine Maschine für die Sprache gebaut.", Layout())
    assert len(cue.lines) == 2
    assert abs(len(cue.lines[0]) - len(cue.lines[1])) < 8


def test_a_text_that_fits_one_line_is_one_line():
    assert cues(1, 2, "Ja, danke.", Layout())[0].lines == ("Ja, danke.",)


def test_no_chinese_line_begins_with_closing_punctuation_or_breaks_a_latin_word():
    lines = [line for cue in cues(0, 9, CHINESE, Layout.of("zh")) for line in cue.lines]
    assert not any(line[0] in "，。！？）%" for line in lines)
    assert not any(line[-1] in "（" for line in lines)
    assert sum("Qwen2-Audio" in line for line in lines) == 1


def test_a_latin_word_with_accents_stays_whole_in_chinese():
    word = "Cafe\u0301-Müller"
    lines = [
        line for cue in cues(0, 9, 5 * f"我们在{word}见面", Layout.of("zh")) for line in cue.lines
    ]
    assert sum(line.count(word) for line in lines) == 5


def test_a_word_longer_than_a_line_is_broken():
    [cue] = cues(0, 1, "Rindfleischetikettierung", Layout(width=12, lines=2))
    assert cue.lines == ("Rindfleische", "tikettierung")


# Of each: (language, what must stay whole).
WHOLE = [
    ("th", "ที่"),  # a vowel sign and a tone mark above the letter
    ("th", "ใจ"),  # a vowel written before its consonant
    ("lo", "ກ່"),
    ("lo", "ເຈົ້"),
    ("km", "ស្ត្រី"),  # consonants under the first
    ("my", "တော့်"),
    ("my", "ဒ္ဓ"),
    ("hi", "क्ष"),
    ("ko", "\u1112\u1161\u11ab"),  # 한 in three code points
    ("zh", "1\ufe0f\u20e3"),  # a keycap
    ("zh", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"),
    ("my", "များ"),  # a sign that Unicode's clusters leave out
    ("bo", "བརྩམས་"),
    ("ja", "か\u3099"),  # が in two code points
    ("ja", "葛\U000e0100"),  # a variation selector
    ("zh", "👨\u200d👩\u200d👧"),
    ("zh", "👍🏽"),
    ("zh", "🇨🇳"),
    ("de", "o\u0308"),
]


@pytest.mark.parametrize("language, character", WHOLE)
@pytest.mark.parametrize("before", range(4))
def test_no_line_begins_inside_a_character(language, character, before):
    """Whatever the place of the character in a text without a space."""
    text = "x" * before + character * 9
    width = max(4, len(character) + 1)
    lines = [line for cue in cues(0, 9, text, Layout(width, 2, False)) for line in cue.lines]
    lines += [line for cue in cues(0, 9, text, Layout.of(language, width)) for line in cue.lines]
    assert len(lines) > 4
    for line in lines:
        assert line.lstrip("x").replace(character, "") == ""


letters = st.sampled_from("aé9漢กเิ่ກເົះកសា្ုးကမ္༌བྲ་🇨🇳👍🏽👩\u200d\ufe0f\u0308-.,。 ")


@settings(deadline=None)
@given(st.text(letters, max_size=60), st.booleans(), st.integers(4, 12), st.integers(1, 3))
def test_of_any_text_every_sign_is_kept_and_every_mark_follows_its_letter(
    text, spaces, width, count
):
    text = "".join(text.split())  # a mark after a space has no letter
    lines = [line for cue in cues(0, 9, text, Layout(width, count, spaces)) for line in cue.lines]
    assert "".join(lines) == text
    for line in lines[1:]:
        assert unicodedata.category(line[0]) not in ("Mn", "Mc", "Me") and line[0] != "\u200d"


def test_an_empty_text_has_no_cue():
    assert cues(0, 1, " ", Layout()) == []


def test_a_line_without_room_for_text_is_refused():
    with pytest.raises(InputError, match="3 characters"):
        Layout(width=3)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "00:00:00,000"),
        (1.0004, "00:00:01,000"),
        (59.9996, "00:01:00,000"),
        (3723.45, "01:02:03,450"),
        (360_000, "100:00:00,000"),
    ],
)
def test_timestamps(seconds, expected):
    assert timestamp(seconds) == expected


def test_srt():
    utterances = [
        Utterance(0, 1, "Hallo."),
        Utterance(1, 2, ""),
        Utterance(2, 3.5, "Pfeil --> hier & <da>"),
    ]
    assert written(utterances, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,000\nHallo.\n\n"
        "2\n00:00:02,000 --> 00:00:03,500\nPfeil -> hier & <da>\n\n"
    )


def test_vtt_escapes_its_markup():
    assert written([Utterance(2, 3.5, "a --> b & <i>")], "vtt") == (
        "WEBVTT\n\n1\n00:00:02.000 --> 00:00:03.500\na --&gt; b &amp; &lt;i&gt;\n\n"
    )


def test_subtitles_of_a_long_talk_are_numbered_and_in_order():
    text = written([Utterance(10 * i, 10 * i + 9.5, GERMAN) for i in range(50)], "srt")
    blocks = text.strip().split("\n\n")
    assert [int(block.split("\n")[0]) for block in blocks] == list(range(1, len(blocks) + 1))
    times = re.findall(r"^(\S+) --> (\S+)$", text, re.M)
    flat = [time for pair in times for time in pair]
    assert flat == sorted(flat) and len(times) == len(blocks) > 100


def test_txt_has_a_line_per_utterance_without_empty_ones():
    assert written(
        [Utterance(0, 1, "Eins."), Utterance(1, 2, ""), Utterance(2, 3, "Zwei.")], "txt"
    ) == ("Eins.\nZwei.\n")


def test_tsv_is_in_milliseconds():
    assert written([Utterance(0.5, 1.25, "Eins\tzwei")], "tsv") == (
        "start\tend\ttext\n500\t1250\tEins zwei\n"
    )


def test_jsonl_and_json_contain_empty_utterances():
    utterances = [Utterance(0, 1.23456, "你好。"), Utterance(2, 3, ""), Utterance(4, 5, "谢谢。")]
    rows = [json.loads(line) for line in written(utterances, "jsonl").splitlines()]
    assert rows[:2] == [
        {"start": 0, "end": 1.235, "text": "你好。"},
        {"start": 2, "end": 3, "text": ""},
    ]
    talk = json.loads(written(utterances, "json", pair="en-zh"))
    assert (talk["text"], talk["source"], talk["language"]) == ("你好。谢谢。", "en", "zh")
    assert [row["id"] for row in talk["segments"]] == [0, 1, 2]


@pytest.mark.parametrize("form", FORMATS)
def test_a_talk_without_speech_gives_a_valid_file(form):
    text = written([], form)
    assert (
        text == {"vtt": "WEBVTT\n\n", "tsv": "start\tend\ttext\n"}.get(form, "") or form == "json"
    )
    if form == "json":
        assert json.loads(text)["segments"] == []
