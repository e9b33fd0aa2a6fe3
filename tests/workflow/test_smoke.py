"""The whole workflow on a corpus of seconds: every script and every file once."""

import csv
import json
import subprocess
import sys
import tarfile
import zipfile

import pytest
from huggingface_hub import ModelCard
from sacrebleu.metrics import CHRF
from smoke_project import RUN, leaks, read_json, read_layer_count, read_scores

from slimspeech.hub.push import plan


def test_no_secret_is_written_or_printed(smoke):
    assert leaks(smoke) == []


def test_the_table_has_every_system(smoke):
    with open(smoke.root / "results" / "smoke" / "scores.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    layers = read_layer_count(smoke)
    assert {(row["system"], int(row["decoder_layers"])) for row in rows} == {
        ("base", layers),
        ("teacher", layers),
        ("pruned-01", layers - 1),
        ("A", layers),
        ("B", layers - 1),
    }
    assert {row["pair"] for row in rows} == {"en-de"}
    assert {int(row["segments"]) for row in rows} == {5}
    sizes = {row["system"]: int(row["bytes"]) for row in rows}
    assert sizes["B"] < sizes["A"] < sizes["teacher"]


def test_the_search_writes_the_scores_of_every_candidate_and_the_kept_layers(smoke):
    folder = smoke.root / "results" / "smoke" / "en-de" / "pruning"
    layers = list(range(read_layer_count(smoke)))
    first = read_json(folder / "iter_00" / "layers.json")
    assert first == {"kept": layers, "removed": []}
    chosen = read_json(folder / "chrf" / "iter_01" / "layers.json")
    [removed] = chosen["removed"]
    assert chosen["kept"] == [layer for layer in layers if layer != removed]
    scores = read_scores(folder / "chrf" / "iter_01" / "scores.csv")
    assert list(scores) == layers[1:-1]
    assert scores[removed] == chosen["score"] == max(scores.values())
    assert scores[chosen["runner_up"]] == max(scores[i] for i in scores if i != removed)
    assert chosen["difference"] >= 0
    assert "shares" not in chosen  # the search has two clips


def test_the_search_starts_from_the_score_of_the_teacher(smoke):
    folder = smoke.root / "results" / "smoke" / "en-de"
    start = folder / "pruning" / "iter_00"
    summary = read_json(start / "score.json")
    lines = (start / "hypotheses.jsonl").read_text(encoding="utf-8").splitlines()
    hypotheses = [json.loads(line) for line in lines]
    lines = (folder / "pruning" / "segments.jsonl").read_text(encoding="utf-8").splitlines()
    segments = [json.loads(line) for line in lines]
    assert len(segments) == 2  # pruning.clips
    assert [row["id"] for row in hypotheses] == [row["id"] for row in segments]
    texts = [row["hypothesis"] for row in hypotheses]
    score = CHRF(word_order=2).corpus_score(texts, [[row["target"] for row in segments]]).score
    assert summary == {"metric": "chrf++", "score": pytest.approx(score)}


def test_snakemakes_report_contains_ours_and_the_tables(smoke):
    smoke.succeed("--configfile", "smoke.yaml", "--report", "workflow.zip")
    with zipfile.ZipFile(smoke.root / "workflow.zip") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for name in ("report.html", "scores.csv", "layers.csv", "plots/en-de.search.decline.svg"):
        data = (smoke.root / "results" / "smoke" / name).read_bytes()
        assert data in content.values(), f"{name} is not in {sorted(content)}"


def test_a_shortlist_holds_the_best_proposals(smoke):
    folder = smoke.root / "results" / "smoke" / "en-de" / "pruning" / "shortlist" / "iter_01"
    proposed = read_scores(folder / "proposal.csv")
    assert list(proposed) == list(range(read_layer_count(smoke)))[1:-1]
    assert all(loss > 0 for loss in proposed.values())
    scores = read_scores(folder / "scores.csv")
    assert sorted(scores) == sorted(sorted(proposed, key=proposed.get)[:2])
    # What a layer scores does not depend on which others are measured beside it.
    everything = read_scores(folder.parents[1] / "chrf" / "iter_01" / "scores.csv")
    assert scores == {layer: everything[layer] for layer in scores}
    kept = read_json(folder / "layers.json")["kept"]
    student = smoke.root / "results" / "smoke" / "en-de" / "students" / "B" / "packed"
    layers = read_json(student / "config.json")["text_config"]["num_hidden_layers"]
    assert layers == len(kept) == read_layer_count(smoke) - 1


def test_the_layer_table_compares_the_searches(smoke):
    results = smoke.root / "results" / "smoke"
    criteria = ("chrf", "shortlist")
    searches = [
        read_json(results / "en-de" / "pruning" / criterion / "iter_01" / "layers.json")
        for criterion in criteria
    ]
    with open(results / "layers.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [
        (row["pair"], row["criterion"], row["iteration"], int(row["layer"])) for row in rows
    ] == [
        ("en-de", criterion, "1", layers["removed"][0])
        for criterion, layers in zip(criteria, searches, strict=True)
    ]
    assert [float(row["score"]) for row in rows] == [layers["score"] for layers in searches]

    text = (results / "layers.md").read_text(encoding="utf-8")
    assert "## English to German (en-de)" in text
    assert "### chrf" in text and "### shortlist" in text
    removed = [layers["removed"][0] for layers in searches]
    shared = int(removed[0] == removed[1])
    summary = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(("| chrf ", "| shortlist "))
    ]
    assert summary == [
        ["chrf", str(removed[0]), "1/1"],
        ["shortlist", str(removed[1]), f"{shared}/1"],
    ]


@pytest.mark.parametrize("student", ["A", "B"])
def test_a_packed_student_loads_with_plain_transformers(smoke, student):
    import torch
    from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

    folder = smoke.root / "results" / "smoke" / "en-de" / "students" / student / "packed"
    model, report = Qwen2AudioForConditionalGeneration.from_pretrained(
        folder, dtype=torch.bfloat16, output_loading_info=True
    )
    assert not report["missing_keys"]
    assert any(type(module).__name__ == "Linear4bit" for module in model.modules())
    assert AutoProcessor.from_pretrained(folder).audio_token == "<|AUDIO|>"


@pytest.mark.parametrize("student", ["A", "B"])
def test_a_release_is_complete_and_states_what_was_measured(smoke, student):
    folder = smoke.root / "results" / "smoke" / "en-de"
    release = folder / "students" / student / "release"
    chosen = plan(release, "somebody/student")
    assert {"README.md", "slimspeech.json", "model.safetensors"} < {f.name for f in chosen.files}
    assert (release / "model.safetensors").samefile(release.parent / "packed" / "model.safetensors")

    facts = read_json(release / "slimspeech.json")
    measured = folder / "evaluation"
    assert facts["size"] == read_json(measured / student / "size.json")
    assert facts["cost"] == read_json(measured / student / "cost.json")
    compared = read_json(measured / "comparison.json")["systems"]
    assert set(facts["scores"]) == {"base", "teacher", student}
    for system, metrics in facts["scores"].items():
        for metric, scores in metrics.items():
            assert scores.items() <= compared[system][metric].items()
    criterion = {"A": "iter_00", "B": "shortlist/iter_01"}[student]
    layers = read_json(folder / "pruning" / criterion / "layers.json")
    assert {key: facts["layers"][key] for key in ("kept", "removed")} == {
        key: layers[key] for key in ("kept", "removed")
    }

    card = ModelCard((release / "README.md").read_text(encoding="utf-8"))
    assert card.data.language == ["en", "de"]
    scores = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert scores["BLEU"] == round(compared[student]["bleu"]["score"], 2)
    assert "This is a toy" in card.text


def test_a_trimmed_student_has_the_tokens_of_its_texts(smoke):
    folder = smoke.root / "results" / "smoke" / "en-de"
    student = folder / "students" / "B"
    vocabulary = read_json(student / "vocabulary.json")
    assert vocabulary["size"] == len(vocabulary["kept"]) == 1024 and not vocabulary["dropped"]
    assert read_json(student / "packed" / "config.json")["text_config"]["vocab_size"] == 1024
    sizes = [
        read_json(folder / "evaluation" / system / "size.json")["bytes_by_part"]
        for system in ("teacher", "B")
    ]
    assert sizes[0]["embedding"] == 2 * sizes[1]["embedding"]  # of 2048 tokens
    facts = read_json(student / "release" / "slimspeech.json")
    assert facts["vocabulary"]["held_out"] == vocabulary["held_out"]


def test_a_kept_adapter_lies_beside_the_packed_weights(smoke):
    student = smoke.root / "results" / "smoke" / "en-de" / "students" / "A"
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {
        file.name for file in (student / "release").iterdir()
    }
    assert not (student / "1-qlora" / "model").exists()
    packing = read_json(student / "packing.json")
    assert packing["merge"] == "keep"
    assert packing["loss"]["packed"] == pytest.approx(packing["loss"]["trained"], rel=1e-3)
    card = (student / "release" / "README.md").read_text(encoding="utf-8")
    assert "import peft" in card and "kept beside it" in card


def test_a_submission_and_an_export_are_made_by_name(smoke):
    """The archive for IWSLT, and the student for serving engines."""
    folder = "results/smoke/en-de/submission/B"
    bundle, scores = f"{folder}/bundle.tar.gz", f"{folder}/tests/TV/scores.json"
    export = "results/smoke/en-de/students/B/export/bf16"
    smoke.succeed(bundle, scores, export, *RUN)
    size = read_json(smoke.root / "results" / "smoke" / "en-de" / "evaluation" / "B" / "size.json")
    with tarfile.open(smoke.root / bundle) as archive:
        files = {name: archive.extractfile(name).read().decode() for name in archive.getnames()}
    name = "KIT_IWSLT27_ModelCompression_en-de_unconstrained_primary"
    assert {file.split("/")[0] for file in files} == {name}
    whole = (smoke.root / folder / "hypotheses.txt").read_text(encoding="utf-8")
    assert files[f"{name}/hypotheses.txt"] == whole
    assert "".join(text for file, text in sorted(files.items()) if "/talks/" in file) == whole
    description = files[f"{name}/description.md"]
    assert f"{size['weights']:,}" in description and f"`{name}`" in description
    assert files[f"{name}/tests/TV.txt"].count("\n") == 3  # the segments of the list
    assert read_json(smoke.root / scores)["segments"] == 2  # those of the references
    config = read_json(smoke.root / export / "config.json")
    assert config["text_config"]["num_hidden_layers"] == size["decoder_layers"]


def test_the_teacher_and_its_training_clips_are_written_for_vllm(smoke):
    folder = "results/smoke/en-de/distillation/vllm"
    made = [f"{folder}/model", f"{folder}/1-of-1/requests.jsonl"]
    smoke.succeed(*made, "--notemp", *RUN)
    config = read_json(smoke.root / folder / "model" / "config.json")
    teacher = read_json(smoke.root / "results/smoke/en-de/teacher/config.json")
    for key in ("num_hidden_layers", "vocab_size"):
        assert config["text_config"][key] == teacher["text_config"][key]
    train = (smoke.root / "results/smoke/en-de/data/train.jsonl").read_text(encoding="utf-8")
    requests = (smoke.root / made[1]).read_text(encoding="utf-8")
    assert requests.count("\n") == train.count("\n") > 0


def test_nothing_half_written_is_left(smoke):
    results = smoke.root / "results"
    assert list(results.rglob("*.partial")) == []
    assert [path for path in results.rglob("checkpoints/*")] == []


def test_a_second_run_does_nothing(smoke):
    assert "Nothing to be done" in smoke.succeed(*RUN)


def test_show_results_prints_the_table_and_the_students(smoke):
    script = smoke.root / "workflow" / "scripts" / "show_results.py"
    done = subprocess.run(
        [sys.executable, script, "smoke.yaml"],
        cwd=smoke.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "| pruned-01 |" in done.stdout
    assert "results/smoke/en-de/students/B/packed" in done.stdout
