"""The report in a real browser, written by the real rule."""

import re
import shutil

import pytest
import yaml
from browsing import wait_for, watched
from project import Project, make_project
from reports import give_text, make_results

from slimspeech.artifacts import read_jsonl, write_text

EVIL = '<script>window.ran = 1</script><img src="x" onerror="window.ran = 1">'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Results of two pairs, of which one student failed and one text of the config waits, and the
    report of what is there."""
    project = make_project(tmp_path_factory.mktemp("report") / "project")
    made = make_results(project.root, pairs=("en-de", "en-zh"), segments=24, hypothesis=EVIL)
    shutil.rmtree(project.root / "results/made/en-zh/evaluation/S2")
    (project.root / "results/made/en-zh/teacher").mkdir()
    give_text(project.root / "results/made/en-de", "cascade")
    for pair in made["pairs"]:
        (project.root / "texts" / pair).mkdir(parents=True)
    write_text(
        project.root / "logs/made/en-zh/score_layers/chrf_02_1-of-1.log",
        "2026-11-23 20:00:01,000 CRITICAL root: failed\nRuntimeError: <b>out</b> of memory\n",
    )
    (project.root / "results/made/en-zh/pruning/chrf/iter_02/layers.json").unlink()
    stage = {"method": "full", "data": {"gold": 1, "distilled": 1}}
    config = {
        "experiment": "made",
        "pairs": made["pairs"],
        "base": {"model": "resources/mini/base"},
        "data": {"archive": "made.zip", "split": {"method": "paper", "validation_size": 2}},
        "pruning": {"iterations": 2},
        "students": {name: {"layers_removed": 2, "stages": [stage]} for name in ("S1", "S2")},
        "evaluation": made["evaluation"] | {"texts": {"cascade": "texts/{pair}"}},
    }
    (project.root / "made.zip").write_bytes(b"no zip")
    (project.root / "made.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    project.succeed("--cores", "1", "--configfile", "made.yaml", "--", "report_so_far")
    return project


@pytest.fixture
def page(browser, project):
    """The report, with what it asked for and complained of."""
    page = watched(browser.new_page(viewport={"width": 1280, "height": 900}))
    page.goto((project.root / "results" / "made" / "report.html").as_uri())
    yield page
    page.close()


def column(page, table: str, number: int) -> list[str]:
    cells = page.locator(f"{table} tbody tr td:nth-child({number})")
    return [text.split("\n")[0].strip() for text in cells.all_inner_texts()]


def test_it_asks_for_nothing_and_complains_of_nothing(page):
    page.wait_for_selector(".utterance")
    page.mouse.move(640, 500)
    assert [url for url in page.urls if not url.startswith("data:")] == [page.url]
    assert page.messages == []


def test_tables_sort_by_mouse_and_by_keyboard(page):
    table = "[aria-labelledby=systems-en-de]"
    assert column(page, table, 1) == ["base", "teacher", "S1", "S2", "cascade"]
    header = page.locator(f"{table} th", has_text="Size")
    header.click()
    first = page.locator(f"{table} tbody tr td").first
    wait_for(page, lambda: first.inner_text() == "base")
    header.focus()
    page.keyboard.press("Enter")
    wait_for(page, lambda: first.inner_text() == "S2")
    assert column(page, table, 1) == ["S2", "S1", "teacher", "base", "cascade"]  # of no size
    assert header.get_attribute("aria-sort") == "ascending"


def test_a_text_of_the_config_is_beside_the_systems(page):
    row = page.locator("[aria-labelledby=systems-en-de] tr", has_text="cascade")
    assert "53.0" in row.inner_text()  # its chrF++, as S1's
    names = page.locator(".utterance").first.locator(".name").all_inner_texts()
    assert names == ["source", "reference", "base", "teacher", "S1", "S2", "cascade"]
    row = page.locator("[aria-labelledby=systems-en-zh] tr", has_text="cascade")
    assert "waits for score_talks" in row.inner_text()


def test_utterances_are_filtered_and_sorted(page, project):
    place = page.locator(".u-place").first
    assert place.inner_text() == "1 to 10 of 24"
    page.select_option("#u-talk", "talk.2")
    assert place.inner_text() == "1 to 6 of 6"
    assert all("talk.2" in text for text in page.locator(".utterance .note").all_inner_texts())
    page.select_option("#u-talk", "")
    page.fill("#u-text", "eval-7")
    assert page.locator(".utterance h3").all_inner_texts() == ["eval-7"]
    page.fill("#u-text", "no such words")
    assert place.inner_text() == "No segment matches"
    page.fill("#u-text", "")
    page.select_option("#u-sort", label="loss of S1 against teacher")
    folder = project.root / "results/made/en-de/evaluation"
    scores = {
        name: [line.split(",") for line in (folder / name / "segments.csv").read_text().split()[1:]]
        for name in ("teacher", "S1")
    }
    losses = {
        own[0]: float(teacher[2]) - float(own[2])
        for teacher, own in zip(scores["teacher"], scores["S1"], strict=True)
    }
    worst = sorted(losses, key=losses.get, reverse=True)[:10]
    assert page.locator(".utterance h3").all_inner_texts() == worst
    page.locator(".u-next").first.click()
    assert place.inner_text() == "11 to 20 of 24"


def test_differences_are_marked(page, project):
    page.fill("#u-text", "eval-3")
    rows = {
        row["id"]: row for row in read_jsonl(project.root / "results/made/en-de/data/test.jsonl")
    }
    said = page.locator(".utterance .said").nth(2)
    own = said.evaluate("e => [...e.querySelectorAll('span > *')].length")
    assert own > 0

    # What is not struck out is what the system said, what is not marked is the reference.
    def words(drop):
        script = """(element, drop) => {
            const copy = element.cloneNode(true);
            copy.querySelectorAll(drop).forEach((piece) => piece.remove());
            return copy.textContent;
        }"""
        return said.evaluate(script, drop).split()

    assert words("mark") == rows["eval-3"]["target"].split()
    hypotheses = read_jsonl(project.root / "results/made/en-de/evaluation/base/hypotheses.jsonl")
    assert words("del") == {r["id"]: r["hypothesis"] for r in hypotheses}["eval-3"].split()
    page.uncheck("#u-missing")
    assert said.locator("del").count() == 0
    page.select_option("#u-compare", "nothing")
    assert said.locator("mark").count() == 0


def test_a_pair_can_be_chosen_and_systems_hidden(page):
    page.select_option("#u-pair", label="English to Chinese")
    names = page.locator(".utterance").first.locator(".name").all_inner_texts()
    assert names == ["source", "reference", "base", "teacher", "S1"]
    page.get_by_label("teacher", exact=True).uncheck()
    names = page.locator(".utterance").first.locator(".name").all_inner_texts()
    assert names == ["source", "reference", "base", "S1"]


def test_a_translation_is_shown_and_never_run(page):
    page.select_option("#u-compare", "nothing")
    said = page.locator(".utterance").first.locator(".said").nth(2)
    assert said.inner_text() == EVIL
    assert page.evaluate("window.ran") is None
    assert page.locator("main img, main .said script").count() == 0


def test_audio_plays(page):
    page.evaluate("document.querySelector('audio').play()")
    wait_for(page, lambda: page.evaluate("document.querySelector('audio').currentTime") > 0.1)


def test_a_failed_system_is_there_and_says_why(page):
    row = page.locator("[aria-labelledby=systems-en-zh] tr", has_text="S2")
    assert "failed" in row.inner_text()
    assert "score_layers: RuntimeError: <b>out</b> of memory" in row.inner_text()
    assert "logs/made/en-zh/score_layers/chrf_02_1-of-1.log" in row.inner_text()
    card = page.locator(".card.failed")
    assert "Student S2 English to Chinese" in card.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280, 1920])
def test_it_fits_every_window(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    colors = page.evaluate(
        "[getComputedStyle(document.documentElement).backgroundColor,"
        " getComputedStyle(document.body).color,"
        " getComputedStyle(document.querySelector('svg.chart .role-axis-label text')).fill]"
    )
    lightness = [sum(map(int, re.findall(r"\d+", color)[:3])) / 765 for color in colors]
    paper, *texts = lightness
    assert all(abs(paper - text) > 0.4 for text in texts)
    assert (paper > 0.5) == (scheme == "light")


def test_the_theme_can_be_chosen(page):
    button = page.locator("#theme")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    seen = []
    for _ in range(3):
        seen.append((button.inner_text(), page.evaluate(background)))
        button.click()
    assert [text for text, _ in seen] == ["◐ auto", "◐ light", "◐ dark"]
    assert seen[1][1] != seen[2][1]


def test_the_keyboard_reaches_everything(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(200):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    controls = {f"u-{name}" for name in ("pair", "talk", "sort", "metric", "compare", "text")}
    assert controls | {"theme", "u-missing", "TH", "SUMMARY", "AUDIO"} <= reached


def test_a_chart_tells_its_numbers_under_the_pointer(page):
    mark = page.locator(".wide [aria-label^='S1: 7.00 MB']").first
    mark.scroll_into_view_if_needed()
    mark.hover(force=True)
    assert "95 % interval" in page.locator("#tip").inner_text()


def test_a_run_that_fails_ends_with_the_reason_and_says_how_to_have_its_report(project):
    config = yaml.safe_load((project.root / "made.yaml").read_text(encoding="utf-8"))
    config["experiment"] = "broken"
    (project.root / "broken.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    arguments = ("--cores", "1", "--configfile", "broken.yaml")
    done = project.snakemake(*arguments, "--", "results/broken/data/segments.jsonl")
    assert done.returncode != 0
    assert "make report CONFIG=broken.yaml" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("prepare_segments: made.zip: ") and "data/archive" in last
    project.succeed(*arguments, "--", "report_so_far")
    text = (project.root / "results" / "broken" / "report.html").read_text(encoding="utf-8")
    assert text.count("prepare_segments: made.zip") >= 4
