"""The page in a real browser, with models without weights."""

import re
import threading

import pytest
import uvicorn
from browsing import wait_for, watched
from serving import FakeModels, served, wav_bytes

from slimspeech.errors import InputError
from slimspeech.web import server
from slimspeech.web.app import Settings, create_app
from slimspeech.web.uploads import Limits

LIMITS = Limits(bytes=500_000, seconds=10)
WAV = {"name": "talk.wav", "mimeType": "audio/wav", "buffer": wav_bytes(16_000 * 4)}


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def url(models):
    """The address of a server in this process."""
    settings = Settings(LIMITS, capacity=2)
    app = create_app(served("en-de-A", "en-de-B", "en-zh-C"), models, settings)
    bound = server.bind("127.0.0.1", 0)
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
    thread.start()
    yield server.address(bound)
    models.go.set()
    running.should_exit = True
    thread.join()


@pytest.fixture
def open_page(browser, url):
    pages = []

    def open_one(**options):
        page = watched(browser.new_page(viewport={"width": 1280, "height": 900}, **options))
        pages.append(page)
        page.goto(url)
        page.wait_for_selector("#models input")
        return page

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def page(open_page):
    return open_page()


def choose(page, file=WAV) -> None:
    page.set_input_files("#file", file)
    page.wait_for_selector("#translate:not([disabled])")


def status(page) -> str:
    return page.inner_text("#status")


def translate(page, file=WAV, says="Done.") -> None:
    choose(page, file)
    page.click("#translate")
    wait_for(page, lambda: status(page) == says)


def texts(page, column: int) -> list[str]:
    return page.locator(f"#segments tbody td:nth-child({column})").all_inner_texts()


def test_the_page_sends_no_other_requests_and_logs_no_errors(page, models, url):
    models.go.set()
    translate(page)
    assert all(address.startswith((url, "data:", "blob:")) for address in page.urls)
    assert page.messages == []


def test_translations_appear_side_by_side_while_they_are_made(page, models):
    assert page.locator("#models input:checked").count() == 2  # those of the first pair
    page.check("[value=en-zh-C]")
    choose(page)
    page.click("#translate")
    wait_for(page, lambda: texts(page, 2) == ["en-de-A length 64000"])
    assert texts(page, 3) == ["…"]
    assert status(page) == "Translating with A, de …"
    models.go.set()
    wait_for(page, lambda: status(page) == "Done.")
    heads = page.locator("#segments th").all_inner_texts()
    assert heads == ["Play", "A, de", "B, de", "C, zh"]
    assert [texts(page, column)[0] for column in (2, 3, 4)] == [
        f"{model} length 64000" for model in ("en-de-A", "en-de-B", "en-zh-C")
    ]
    assert texts(page, 1) == ["▶ 0:00.0", "▶ 0:02.0"]
    cells = page.locator("#times tbody tr").nth(1).locator("td").all_inner_texts()
    assert cells[:3] == ["B, de", "done", "2"]
    assert re.fullmatch(r"[\d.]+ s", cells[3]) and re.fullmatch(r"[\d.]+", cells[4])


def test_differences_are_marked_within_a_language(page, models):
    models.go.set()
    page.check("[value=en-zh-C]")
    translate(page)
    assert page.locator("#segments mark").all_inner_texts() == ["en-de-B"]
    page.select_option("#compare", label="B, de")
    assert page.locator("#segments mark").all_inner_texts() == ["en-de-A"]
    page.select_option("#compare", label="nothing")
    assert page.locator("#segments mark").count() == 0


def test_a_translation_is_displayed_and_never_executed(page, models):
    models.go.set()
    evil = '<img src=x onerror="window.ran = 1">.wav'
    translate(page, WAV | {"name": evil})
    assert evil.replace('"', "%22") in texts(page, 2)[1].replace('"', "%22")
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.ran") is None


def test_a_segment_is_played_and_highlighted(page, models):
    models.go.set()
    translate(page)
    buttons = page.locator("#segments button")
    buttons.nth(1).focus()
    page.keyboard.press("Enter")
    playing = page.locator("#segments tr.playing")
    wait_for(page, lambda: playing.count() == 1)
    assert "0:02.0" in playing.inner_text()
    assert buttons.nth(1).get_attribute("aria-label") == "Pause from 0:02.0"
    assert 2 <= page.evaluate("audio.currentTime") < 4
    page.keyboard.press("Enter")
    wait_for(page, lambda: playing.count() == 0)
    assert page.evaluate("audio.paused")
    # A segment ends where the next begins; the player's button continues.
    buttons.nth(0).click()
    wait_for(page, lambda: page.evaluate("audio.paused") and playing.count() == 0)
    assert page.evaluate("audio.currentTime") == pytest.approx(2, abs=0.25)
    page.evaluate("audio.currentTime = 1.5; audio.play()")
    wait_for(page, lambda: playing.count() == 1 and "0:02.0" in playing.inner_text())


def test_segments_play_the_translated_file_after_another_was_chosen(page, models):
    models.go.set()
    translate(page)
    translated = page.evaluate("audio.src")
    choose(page, WAV | {"name": "short.wav", "buffer": wav_bytes(16_000)})
    assert page.evaluate("audio.src") != translated
    page.locator("#segments button").nth(1).click()
    wait_for(page, lambda: page.locator("#segments tr.playing").count() == 1)
    assert page.evaluate("audio.src") == translated
    assert page.evaluate("audio.currentTime") >= 2
    page.click("#translate")  # the file chosen last
    wait_for(page, lambda: texts(page, 2)[:1] == ["en-de-A length 16000"])
    page.locator("#segments button").first.click()
    wait_for(page, lambda: page.evaluate("audio.currentTime") > 0)
    assert page.evaluate("audio.duration") == 1


def test_a_file_that_is_no_audio_gets_a_message(page, models):
    models.go.set()
    choose(page, WAV | {"name": "notes.wav", "buffer": b"no audio at all"})
    page.click("#translate")
    error = page.locator("#error")
    error.wait_for()
    assert error.inner_text().startswith("notes.wav: not audio")
    assert error.get_attribute("role") == "alert"
    translate(page)  # the next job works
    assert not error.is_visible()


def test_what_is_missing_from_the_audio_is_shown_until_the_next_job(page, models):
    models.go.set()
    translate(page, WAV | {"buffer": wav_bytes(16_000)[:9044]})
    assert "holds 4500 (0.28 s)" in page.inner_text("#warning")
    assert not page.locator("#error").is_visible()
    translate(page)
    assert not page.locator("#warning").is_visible()


def test_channels_are_averaged_unless_they_cancel(page):
    call = "([left, right]) => [...toMono([Float32Array.of(...left), Float32Array.of(...right)])]"
    assert page.evaluate(call, [[0.5, 0.25, 0], [0, 0.25, -0.5]]) == [0.25, 0.25, -0.25]
    assert page.evaluate(call, [[0.5, -0.25], [-0.5, 0.25]]) == [0.5, -0.25]
    assert page.evaluate(call, [[0, 0], [0, 0]]) == [0, 0]


def test_a_file_over_the_limit_is_not_sent(page, url):
    page.set_input_files("#file", WAV | {"buffer": wav_bytes(300_000)})
    page.locator("#error").wait_for()
    assert "talk.wav: 600 kB" in page.inner_text("#error")
    assert page.locator("#translate").is_disabled()
    assert f"{url}api/jobs" not in page.urls


def test_the_server_refuses_a_file_over_the_limit(page):
    page.evaluate("limits.bytes = 1e12")
    choose(page, WAV | {"buffer": wav_bytes(1_000_000)})
    page.click("#translate")
    page.locator("#error").wait_for()
    assert "limit, 0.5 MB" in page.inner_text("#error")


def test_a_model_that_fails_shows_its_error_and_the_others_continue(page, models):
    models.errors = {"en-de-A": InputError("talk.wav: damaged")}
    models.go.set()
    translate(page)
    states = page.locator("#times tbody td:nth-child(2)").all_inner_texts()
    assert states == ["talk.wav: damaged", "done"]
    assert texts(page, 2) == ["en-de-A length 64000", ""]


def test_jobs_of_several_pages_wait_and_can_be_cancelled(open_page, models):
    first, second, third, late = (open_page() for _ in range(4))
    for page in (first, second, third):
        choose(page)
        page.click("#translate")
        wait_for(page, lambda page=page: page.is_visible("#result"))
    wait_for(second, lambda: status(second) == "In the queue: 1 job before this one.")
    wait_for(third, lambda: status(third) == "In the queue: 2 jobs before this one.")
    choose(late)
    late.click("#translate")
    late.locator("#error").wait_for()
    assert late.inner_text("#error").startswith("The server is busy")
    second.click("#cancel")
    wait_for(second, lambda: status(second) == "Cancelled.")
    wait_for(third, lambda: status(third) == "In the queue: 1 job before this one.")
    models.go.set()
    wait_for(third, lambda: status(third) == "Done.")
    assert texts(third, 2)[0] == "en-de-A length 64000"


def test_a_stopped_server_is_reported(page, models):
    page.route("**/api/jobs", lambda route: route.abort())
    choose(page)
    page.click("#translate")
    page.locator("#error").wait_for()
    assert "still running" in page.inner_text("#error")


def test_the_microphone_is_recorded_and_sent_as_wav(page, models):
    models.go.set()
    page.click("#record")
    wait_for(page, lambda: page.inner_text("#record") >= "Stop 0:01.5")
    page.click("#record")
    page.wait_for_selector("#translate:not([disabled])")
    assert re.search(r"recording, .* decoded to .* of WAV", page.inner_text("#chosen"))
    page.click("#translate")
    wait_for(page, lambda: status(page) == "Done.")
    samples = int(texts(page, 2)[0].removeprefix("en-de-A length "))
    assert 1.0 < samples / 16_000 < 4
    assert models.requests[0] == ("en-de-A", "recording.wav")
    page.locator("#segments button").first.click()
    wait_for(page, lambda: page.evaluate("audio.currentTime") > 0.1)


def test_a_file_is_dropped(page):
    transfer = page.evaluate_handle(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.wav"));
            return transfer;
        }""",
        list(wav_bytes(1000)),
    )
    page.dispatch_event("#drop", "dragover", {"dataTransfer": transfer})
    assert "over" in page.get_attribute("#drop", "class")
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    wait_for(page, lambda: "dropped.wav" in page.inner_text("#chosen"))


def test_the_keyboard_reaches_every_control(page, models):
    models.go.set()
    translate(page)
    page.evaluate("document.body.tabIndex = -1; document.body.focus()")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.className")
        )
    order = ["skip", "theme", "file", "record", "translate", "compare", "play", "audio"]
    positions = [reached.index(name) for name in order]
    assert positions == sorted(positions)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1920])
def test_the_page_fits_every_window(open_page, models, width, scheme):
    models.go.set()
    page = open_page(color_scheme=scheme)
    translate(page, WAV | {"name": "a_long_name_without_any_spaces" * 3 + ".wav"})
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if width == 320:  # rows instead of columns, each text below its model's name
        cell = page.locator("#segments td").nth(1)
        assert cell.evaluate("e => getComputedStyle(e, '::before').content") == '"A"'
        assert cell.bounding_box()["width"] > 250
