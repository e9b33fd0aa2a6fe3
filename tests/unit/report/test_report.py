"""The report: its values, and a page from any subset of results."""

import base64
import io
import json
import shutil

import numpy as np
import pytest
import soundfile
from reports import PUBLISHED, give_text, make_results

from slimspeech.artifacts import write_json, write_text
from slimspeech.checksums import sha256_lines
from slimspeech.errors import InputError
from slimspeech.report import numbers
from slimspeech.report.clips import clip_urls
from slimspeech.report.figures.searches import costs, decline
from slimspeech.report.figures.sensitivities import sensitivities as draw_sensitivities
from slimspeech.report.figures.tradeoffs import Point, front, size_figure, speed_figure
from slimspeech.report.first_screen import cards
from slimspeech.report.latex import escape, latex_table
from slimspeech.report.read.experiment import read_experiment
from slimspeech.report.read.files import Reader
from slimspeech.report.read.provenance import rule_costs
from slimspeech.report.report import not_run, write_report
from slimspeech.report.results import FAILED, NOT_RUN, Interval, Iteration
from slimspeech.report.utterances import as_script


@pytest.fixture
def config(tmp_path):
    return make_results(tmp_path)


def read(config, root):
    [pair] = read_experiment(config, root).pairs
    return pair


def page(config, root):
    write_report(config, PUBLISHED, root)
    return (root / "results" / "made" / "report.html").read_text(encoding="utf-8")


def test_values_are_read_with_their_source_files(config, tmp_path):
    pair = read(config, tmp_path)
    student = pair.system("S2")
    assert student.scores["chrf++"].score == Interval(52.0, 50.0, 54.0)
    assert pair.retention(student).value == pytest.approx(100 * 52 / 54)
    assert student.files["scores"] == "results/made/en-de/evaluation/S2/scores.json"
    assert student.cost.best.seconds_per_audio_second.value == pytest.approx(0.06)
    assert [s.criterion for s in pair.searches] == ["chrf"]
    assert pair.searches[0].layers == 12
    assert [curve.stage for curve in pair.curves] == ["teacher", "S1 1-full", "S2 1-full"]
    assert "cost" not in student.files


def give_cost(folder):
    """An output of measure_cost. folder: of the system's results."""
    spread = {"median": 0.1, "low": 0.1, "high": 0.1}
    batch = {"batch_size": 1, "best": True, "real_time_factor": spread, "tokens_per_second": spread}
    cost = {"device": "CPU", "compute_dtype": "float32", "clips": 8, "repeats": 3}
    write_json(folder / "cost.json", cost | {"batches": [batch], "load_seconds": spread})


def test_speeds_of_two_kinds_of_measurement_are_not_compared(config, tmp_path):
    give_cost(tmp_path / "results/made/en-de/evaluation/S2")
    systems = {system.name: system.cost for system in read(config, tmp_path).scored}
    assert systems.pop("S2").best.seconds_per_audio_second.value == 0.1
    assert len(systems) > 1 and not any(systems.values())


def test_the_first_screen_compares_speeds_that_were_measured_alone(config, tmp_path):
    claim = "the teacher’s speed: "
    assert claim not in page(config, tmp_path)
    for system in ("S2", "teacher"):
        give_cost(tmp_path / "results/made/en-de/evaluation" / system)
    assert page(config, tmp_path).count(claim + "0.100 s per second of audio") == 1


def test_of_many_students_the_first_screen_has_the_best_and_those_that_failed(tmp_path):
    config = make_results(tmp_path, systems=8)
    shutil.rmtree(tmp_path / "results/made/en-de/evaluation/S1")
    experiment = read_experiment(config, tmp_path)
    [pair] = experiment.pairs
    scores = {s.name: s.scores["chrf++"].score.value for s in pair.scored if s.name[0] == "S"}
    best = sorted(scores, key=scores.get, reverse=True)[:3]
    assert {card.system.name for card in cards(experiment)} == {"S1", *best}


def test_texts_of_the_config_are_shown_with_their_scores(config, tmp_path):
    config["evaluation"]["texts"] = {"cascade": "texts/{pair}", "other": "texts/other"}
    give_text(tmp_path / "results/made/en-de", "cascade")
    pair = read(config, tmp_path)
    cascade, other = pair.system("cascade"), pair.system("other")
    assert cascade.scores["chrf++"].score.value == pair.system("S1").scores["chrf++"].score.value
    assert cascade.hypotheses == pair.system("S1").hypotheses
    assert cascade.bytes is None and cascade.cost is None
    assert other.state == NOT_RUN and "score_talks" in other.reason
    text = page(config, tmp_path)
    assert '"cascade"' in text  # among the utterances
    for kind in ("scores.json", "resegmented.jsonl"):
        assert f"<code>en-de/submission/*/{kind}</code>" in text
    assert "checks of the translations of cascade" not in text


def test_scores_of_comet_and_of_talks_join_the_others(config, tmp_path):
    folder = tmp_path / "results/made/en-de/evaluation/S1/comet"
    write_json(
        folder / "wmt22.json",
        {"score": 0.81, "signature": "s", "talks": {"talk.1": {"segments": 3, "score": 0.7}}},
    )
    ids = [row["id"] for row in read(config, tmp_path).segments]
    rows = [json.dumps({"id": key, "score": 0.5}) for key in ids]
    write_text(folder / "wmt22.jsonl", "\n".join(rows) + "\n")
    pair = read(config, tmp_path)
    assert pair.metrics == ["bleu", "chrf", "chrf++", "wmt22"]
    assert pair.system("S1").scores["wmt22"].score.value == 0.81
    assert pair.system("S1").talks["talk.1"]["wmt22"] == 0.7
    assert pair.system("S1").segment_scores["wmt22"] == [0.5] * 12
    assert "wmt22" in page(config, tmp_path)


def give_engine(folder, form, clips):
    """Outputs of measure_engine_cost and check_parity for S1. folder: of the pair's results."""
    place = folder / "students" / "S1" / "parity" / "vllm" / form
    times = {"median": 0.02, "low": 0.01, "high": 0.03}
    batch = {"batch_size": 8, "best": True, "seconds": times, "real_time_factor": times}
    cost = {"engine": "vLLM", "device": "CPU", "compute_dtype": "float32", "clips": 8, "repeats": 3}
    batch |= {"tokens_per_second": times}
    write_json(place / "cost.json", cost | {"load_seconds": times, "batches": [batch]})
    parity = {"metric": "chrf++", "clips": clips, "engine_score": 27.0}
    write_json(place / "parity.json", parity)


def test_engines_are_in_the_table_and_marks_of_the_chart(config, tmp_path):
    """A mark only if the engine translated the whole test set, which the others' scores are of."""
    whole = len(read(config, tmp_path).segments)
    give_engine(tmp_path / "results/made/en-de", "bf16", whole)
    give_engine(tmp_path / "results/made/en-de", "int8", whole - 1)
    pair = read(config, tmp_path)
    assert [engine.name for engine in pair.engines] == ["S1, vLLM bf16", "S1, vLLM int8"]
    chart = json.dumps(speed_figure(pair).wide.to_dict())
    teacher = pair.teacher.scores["chrf++"].score.value
    assert f"{2700 / teacher:.1f} % of the teacher" in chart
    assert "S1, vLLM bf16" in chart and "S1, vLLM int8" not in chart
    text = page(config, tmp_path)
    assert "S1, vLLM int8" in text and "students/*/parity/*/*/cost.json" in text


def test_what_packing_leaves_of_an_adapter_is_told(config, tmp_path):
    path = "results/made/en-de/students/S1/packing.json"
    loss = {"start": 0.75, "trained": 0.7, "merged": 0.701, "packed": 0.7145}
    left = {"merged": 98.0, "packed": 71.0}
    packing = {"merge": "rounded", "segments": 3, "loss": loss, "left_percent": left}
    write_json(tmp_path / path, packing)
    text = page(config, tmp_path)
    assert "S1: 71 % of what the last adapter gained" in text and "(98 % after merging)" in text
    assert "<code>en-de/students/S1/packing.json</code>" in text
    kept = {"merge": "keep", "left_percent": {"packed": 99.8}}
    write_json(tmp_path / path, packing | kept)
    assert (
        "100 % of what the last adapter gained on the validation part is left in the packed "
        "model, beside which it is kept." in page(config, tmp_path)
    )
    write_json(tmp_path / path, packing | {"left_percent": None})
    assert "of what the last adapter gained" not in page(config, tmp_path)


def test_a_trimmed_vocabulary_is_told_with_its_price(config, tmp_path):
    lengths = {"texts": 12, "tokens": 200, "trimmed": 210, "longer_percent": 5.0}
    path = "results/made/en-de/students/S1/vocabulary.json"
    write_json(tmp_path / path, {"tokens": 2048, "size": 1024, "held_out": lengths})
    assert read(config, tmp_path).system("S1").vocabulary["size"] == 1024
    text = page(config, tmp_path)
    assert "S1 keeps 1024 of 2048 tokens" in text and "take 5.0 % more tokens" in text
    assert "<code>en-de/students/S1/vocabulary.json</code>" in text


def test_a_budget_is_told_with_its_reason_and_front(config, tmp_path):
    folder = tmp_path / "results/made/en-de"
    assert read(config, tmp_path).sensitivities is None
    whole = {"loss": 0.7, "score": 56.0}
    sensitivities = {
        "segments": 12,
        "metric": "chrf++",
        "whole": whole,
        "parts": {"audio_tower": whole, "decoder": {"loss": 0.7125, "score": 55.5}},
        "together": whole,
        "layers": [whole, {"loss": 0.69, "score": 56.5}],
        "removed": {},
    }
    write_json(folder / "sensitivities.json", sensitivities)
    figure = draw_sensitivities(read(config, tmp_path))
    rows = figure.wide.to_dict()["data"]["values"]
    assert [row["name"] for row in rows] == [
        *("audio tower", "decoder", "together, but embedding and head"),
        *("layer 0", "layer 1"),
    ]
    assert rows[1]["label"] == "decoder in NF4: loss +0.0125, chrF++ -0.50"
    form = {"audio_tower": "none", "decoder": "nf4", "head": "none"}
    point = {"layers_removed": 2, "quantization": form, "vocabulary": None, "bytes": 2_490_000}
    larger = point | {"bytes": 7_000_000, "quantization": form | {"decoder": "none"}, "loss": 0.0}
    point["loss"] = 0.0125
    choice = point | {"budget": 2_500_000, "reason": "Why so.", "front": [larger, point]}
    write_json(folder / "students/S1/budget.json", choice)
    text = page(config, tmp_path)
    assert "S1: Why so." in text and "<td>2.49 MB ×</td><td>0.0125</td><td>2</td>" in text
    assert "<td>7.00 MB</td>" in text and "plots/en-de.sensitivities.svg" in text


@pytest.mark.parametrize("step", ["train_student", "translate_test"])
def test_a_failed_system_differs_from_one_that_did_not_run(config, tmp_path, step):
    folder = tmp_path / "results" / "made" / "en-de"
    (tmp_path / "results/made/en-de/teacher").mkdir()
    (tmp_path / "results/made/en-de/pruning/chrf/iter_02/model").mkdir()
    for name in ("S1", "S2"):
        shutil.rmtree(folder / "evaluation" / name)
    # The teacher and the pseudo-labels exist.
    write_text(folder / "distillation" / "distilled.jsonl", "")
    log = f"logs/made/en-de/{step}/S1.log"
    if step == "train_student":
        log = f"logs/made/en-de/{step}/S1-1-full.log"
    else:
        (folder / "students/S1/1-full/model").mkdir()
        (folder / "students/S1/packed").mkdir()
    write_text(
        tmp_path / log,
        "2026-11-23 20:00:00,000 INFO root: started\n"
        "2026-11-23 20:00:01,000 CRITICAL root: clip.wav: too long\n",
    )
    pair = read(config, tmp_path)
    failed, waiting = pair.system("S1"), pair.system("S2")
    assert (failed.state, failed.reason, failed.log) == (FAILED, f"{step}: clip.wav: too long", log)
    assert waiting.state == NOT_RUN and "train_student" in waiting.reason
    text = page(config, tmp_path)
    assert "clip.wav: too long" in text and log in text


def test_a_search_by_comet_that_fails_to_score_is_blamed_on_that(config, tmp_path):
    config["teacher"]["model"] = "teacher"
    config["pruning"]["comet"] = "comet22"
    config["evaluation"]["systems"].append("pruned-comet-01")
    logs = tmp_path / "logs/made/en-de"
    write_text(logs / "gather_scores/comet_01.log", "2026-11-23 20:00:00,000 INFO root: done\n")
    write_text(
        logs / "score_layers_by_comet/01.log",
        "2026-11-23 20:00:01,000 CRITICAL root: comet22.json: no such checkpoint\n",
    )
    reason = read(config, tmp_path).system("pruned-comet-01").reason
    assert reason == "score_layers_by_comet: comet22.json: no such checkpoint"


def test_the_error_of_a_traceback_is_its_last_line(config, tmp_path):
    shutil.rmtree(tmp_path / "results/made/en-de/evaluation/base")
    write_text(
        tmp_path / "logs/made/en-de/translate_test/base.log",
        "2026-11-23 20:00:01,000 CRITICAL root: failed\nTraceback (…):\n  File …\n"
        "MemoryError: no room\n",
    )
    assert read(config, tmp_path).system("base").reason == "translate_test: MemoryError: no room"


def test_a_log_without_an_error_is_of_a_job_that_was_stopped(config, tmp_path):
    shutil.rmtree(tmp_path / "results/made/en-de/evaluation/base")
    write_text(tmp_path / "logs/made/en-de/translate_test/base.log", "loading\n")
    base = read(config, tmp_path).system("base")
    assert base.state == FAILED and "stopped" in base.reason


def test_a_report_without_results(config, tmp_path):
    shutil.rmtree(tmp_path / "results")
    text = page(config, tmp_path)
    assert "prepare_segments" in text
    assert "no search for layers" in text


def test_layers_that_are_removed_by_place_have_no_scores(config, tmp_path):
    folder = tmp_path / "results/made/en-de/pruning"
    shutil.rmtree(folder)
    kept = [layer for layer in range(12) if layer != 6]
    write_json(folder / "middle/iter_01/layers.json", {"kept": kept, "removed": [6]})
    [search] = read(config, tmp_path).searches
    assert (search.criterion, search.layers, search.unpruned) == ("middle", 12, None)
    assert "middle" in page(config, tmp_path)


def test_missing_results_are_listed(config, tmp_path):
    experiment = read_experiment(config, tmp_path)
    text = "\n".join(not_run(experiment, Reader(tmp_path)))
    assert "COMET: off in the config" in text
    assert "en-de: checks of the translations of base, teacher, S1, S2" in text
    (tmp_path / "results/made/en-de/evaluation/comparison.json").unlink()
    experiment = read_experiment(config, tmp_path)
    assert "intervals" in "\n".join(not_run(experiment, Reader(tmp_path)))


def test_hypotheses_of_other_segments_are_refused(config, tmp_path):
    path = tmp_path / "results/made/en-de/evaluation/S1/hypotheses.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[1:]))
    with pytest.raises(InputError, match="S1/hypotheses.jsonl: "):
        read(config, tmp_path)


def test_translations_are_never_markup(tmp_path):
    evil = "</script><script>alert(1)</script><!-- \u2028 &"
    text = page(make_results(tmp_path, hypothesis=evil), tmp_path)
    assert "<script>alert" not in text
    assert "\\u003cscript>alert(1)\\u003c/script>" in text
    assert json.loads(as_script({"text": evil})) == {"text": evil}


def test_no_text_of_any_file_is_markup(config, tmp_path):
    """Texts of the corpus, names of talks, licences, the config, and errors of a log."""
    evil = "<script>alert(1)</script><img src='x' onerror='alert(1)'>"
    folder = tmp_path / "results" / "made"
    config["prompt"] = {"system": evil, "user": evil}
    config["languages"] = {"de": evil}
    corpus = {key: evil for key in ("name", "licence", "citation", "url", "sha256")}
    write_json(folder / "data" / "corpus.json", [corpus | {"corpus": "x", "role": "gold"}])
    for path in folder.rglob("*.json*"):
        text = path.read_text(encoding="utf-8").replace("talk.1", f"{evil} talk")
        for key in ("source", "target", "hypothesis", "device"):
            text = text.replace(f'"{key}": "', f'"{key}": "{evil} ')
        path.write_text(text, encoding="utf-8")
    shutil.rmtree(folder / "en-de/evaluation/base")
    line = f"2026-11-23 20:00:01,000 CRITICAL root: {evil}\n"
    write_text(tmp_path / "logs/made/en-de/translate_test/base.log", line)
    text = page(config, tmp_path)
    assert text.count("&lt;script&gt;alert(1)") >= 5
    assert text.count("\\u003cscript>alert(1)") >= 5
    assert "<script>alert" not in text and "<img" not in text


def test_the_config_selects_how_audio_is_included(config, tmp_path):
    assert page(config, tmp_path).count("data:audio/mpeg;base64,") == 12
    config["report"]["audio"] = "link"
    text = page(config, tmp_path)
    assert '"data/audio/eval/sent_1.wav"' in text and "data:audio" not in text
    config["report"]["audio"] = "none"
    text = page(config, tmp_path)
    assert "sent_1.wav" not in text and "off in the config (report.audio)" in text


def test_an_embedded_clip_is_the_clip(tmp_path):
    times = np.arange(16000) / 16000
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * times), 16000)
    url = clip_urls(["a.wav", "gone.wav"], "embed", tmp_path, tmp_path)["a.wav"]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert (rate, samples.ndim) == (16000, 1)
    assert len(samples) == pytest.approx(16000, abs=2400)  # an encoder pads
    loudest = np.fft.rfftfreq(8000, 1 / rate)[np.argmax(np.abs(np.fft.rfft(samples[4000:12000])))]
    assert loudest == pytest.approx(440, abs=2)


def test_a_clip_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no wav")
    with pytest.raises(InputError, match="a.wav: cannot be read"):
        clip_urls(["a.wav"], "embed", tmp_path, tmp_path)


def test_the_decline_starts_with_the_unpruned_teacher(config, tmp_path):
    start = tmp_path / "results/made/en-de/pruning/iter_00/score.json"
    figure = decline(read(config, tmp_path))
    assert "chrf: 50.0 chrF++ with 0 layers removed" in figure.wide.to_json(ensure_ascii=False)
    assert figure.sources[0] == "en-de/pruning/iter_00/score.json"
    write_json(start, {"metric": "bleu", "score": 50.0})  # another metric
    figure = decline(read(config, tmp_path))
    assert "with 0 layers" not in figure.wide.to_json()
    assert figure.sources == ["en-de/pruning/chrf/iter_*/layers.json"]


def test_the_config_adds_published_points_to_the_chart(config, tmp_path):
    assert "Diet-KIT" not in page(config, tmp_path)
    config["report"]["published"] = True
    text = page(config, tmp_path)
    assert "Diet-KIT 2026 (published): 3.98 GB, 98.4 % of its teacher by COMET" in text
    assert "Moslem 2025, B (published): 8.65 GB, 100 %" in text
    assert "2026.iwslt-1.21" in text


@pytest.mark.parametrize(
    ("model", "shown"), [("Unbabel/wmt22-comet-da", True), ("Unbabel/wmt20-comet-da", False)]
)
def test_comet_against_size_has_published_points_of_its_scale(config, tmp_path, model, shown):
    config["report"]["published"] = True
    config["evaluation"]["comet"] = {"comet": {"model": model}}
    for system, score in {"teacher": 0.8, "S1": 0.79}.items():
        path = tmp_path / f"results/made/en-de/evaluation/{system}/comet/comet.json"
        write_json(path, {"score": score, "signature": "s"})
    text = page(config, tmp_path)
    assert "COMET against size, English to German. On the Pareto front: S1, teacher." in text
    assert "79.0 COMET × 100" in text
    assert ("Diet-KIT 2026 (published): 3.98 GB, COMET 74.4" in text) is shown


def test_published_points_are_not_on_the_front(config, tmp_path):
    best = {"name": "theirs", "gigabytes": 1e-9, "percent": 200, "metric": "COMET"}
    figure = size_figure(read(config, tmp_path), [best])
    assert "theirs" not in figure.alt
    chart = figure.wide.to_dict(validate=False)
    [line] = [layer for layer in chart["layer"] if layer["mark"]["type"] == "line"]
    assert line["data"]["values"] and all(row["y"] < 200 for row in line["data"]["values"])


def test_charts_are_files_and_follow_the_theme_on_the_page(config, tmp_path):
    plots = tmp_path / "results" / "made" / "plots"
    plots.mkdir()
    (plots / "of-an-earlier-report.svg").touch()
    text = page(config, tmp_path)
    names = {path.name for path in plots.iterdir()}
    assert {"en-de.quality_size.svg", "en-de.quality_size.png", "en-de.search.chrf.svg"} <= names
    assert "of-an-earlier-report.svg" not in names
    assert (plots / "en-de.quality_size.png").read_bytes().startswith(b"\x89PNG")
    assert "var(--series-1)" in text
    assert "var(" not in (plots / "en-de.quality_size.svg").read_text()


def test_the_pareto_front():
    points = [
        Point(name, Interval(x), Interval(y), name)
        for name, x, y in [("a", 1, 5), ("b", 2, 4), ("c", 3, 9), ("d", 3, 8), ("e", 4, 9)]
    ]
    assert [point.name for point in front(points)] == ["a", "c"]


def test_costs_are_relative_to_the_removed_layer():
    higher = Iteration(1, 3, {2: 40.0, 3: 50.0}, [0, 1, 2], metric="chrf++")
    lower = Iteration(1, 3, {2: 1.5, 3: 1.0}, [0, 1, 2], metric="loss")
    assert costs(higher) == {2: 10.0, 3: 0.0}
    assert costs(lower) == {2: 0.5, 3: 0.0}


def test_time_and_memory_are_summed_by_rule(tmp_path):
    config = make_results(tmp_path, pairs=("en-de", "en-zh"))
    [cost] = rule_costs(Reader(tmp_path), read_experiment(config, tmp_path))
    assert (cost.rule, cost.jobs, cost.seconds, cost.longest) == ("train_teacher", 2, 25.0, 12.5)
    assert cost.memory == 100 * 2**20
    assert cost.file == "{pair}/benchmarks/train_teacher*"


def test_the_latex_table_is_safe_for_latex(config, tmp_path):
    table = latex_table(read_experiment(config, tmp_path))
    assert r"S1 & 12 & 4.00 M & 7.00 MB & 28.0 (26.0--30.0)" in table
    assert table.count(r"\\") == 1 + 1 + 4
    assert escape("a_b & 50 %") == r"a\_b \& 50 \%"


def test_hashes_have_the_format_of_sha256sum(tmp_path):
    write_text(tmp_path / "packed" / "a.json", "abc")
    write_text(tmp_path / "packed" / ".snakemake_timestamp", "")
    # Of "abc": FIPS 180-4, appendix.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_lines(tmp_path / "packed") == f"{digest}  {tmp_path}/packed/a.json\n"


def test_format_of_numbers():
    assert [numbers.ratio(x) for x in (0.0123, 1.234, 12.34, 123.4, 0, None)] == [
        "0.012",
        "1.23",
        "12.3",
        "123",
        "0",
        "-",
    ]
    assert [numbers.duration(x) for x in (0.42, 59.6, 3600, 5025)] == [
        "0.4 s",
        "1 min 0 s",
        "1 h 0 min",
        "1 h 23 min",
    ]
    assert numbers.p_value(0.0004) == "< 0.001"


def test_several_seeds_have_a_chart(config, tmp_path):
    header = "pair,system,percent_of_teacher,percent_of_teacher_low,percent_of_teacher_high,"
    lines = [
        header + "percent_of_teacher_of_seeds",
        "en-de,teacher,100.0,100.0,100.0,100.00 100.00",
        "en-de,S1,96.5,95.0,98.0,96.00 97.00",
        "en-de,S2,92.5,,,92.00 93.00",  # too few segments for an interval
        "en-zh,S1,50.0,49.0,51.0,50.00 50.00",
    ]
    assert "the mean over seeds" not in page(config, tmp_path)
    write_text(tmp_path / "results/made/seeds.csv", "\n".join(lines) + "\n")
    assert [row["system"] for row in read(config, tmp_path).seeds] == ["teacher", "S1", "S2"]
    text = page(config, tmp_path)
    assert "the mean over seeds" in text and "the highest is S1 with 96.5 %" in text
    assert "S1: 96.5 % (95 % interval 95.0 to 98.0); seeds 96.0, 97.0" in text
    assert "S2: 92.5 %; seeds 92.0, 93.0" in text
    assert (tmp_path / "results/made/plots/en-de.seeds.svg").is_file()
