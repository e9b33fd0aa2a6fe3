"""An iteration of the search against the model pruned for good, in every criterion."""

import pytest
from settings import configured

from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import score
from slimspeech.generation.embeddings import encode_clips, read_clips
from slimspeech.generation.translation import GenerationSettings, translate
from slimspeech.pruning.criteria import (
    GoldCorpus,
    angular_distances,
    block_influence,
    removal_divergences,
    removal_losses,
)
from slimspeech.pruning.layers import keep_layers
from slimspeech.pruning.search import SearchSettings, score_removals, score_unpruned
from slimspeech.pruning.shards import share


@pytest.mark.parametrize("pair, metric", [("en-de", "chrf++"), ("en-zh", "chrf")])
def test_removals_are_scored_one_at_a_time(pair, metric, model, processor, rows, prompt, greedy):
    segments = [row for row in rows if row["pair"] == pair]
    clips = read_clips(segments, processor)
    scores, found = score_removals(
        model,
        processor,
        [0, 1, 3],
        [1, 3],
        segments,
        clips,
        prompt,
        greedy,
        configured(SearchSettings),
    )
    assert [(row["layer"], row["metric"]) for row in scores] == [(1, metric), (3, metric)]
    assert [(row["layer"], row["id"]) for row in found] == [
        (layer, segment["id"]) for layer in (1, 3) for segment in segments
    ]
    # The pair's score is that of the model pruned for good.
    keep_layers(model, [0, 3])
    hypotheses = translate(model, processor, segments, prompt, greedy)
    assert hypotheses == [row["hypothesis"] for row in found if row["layer"] == 1]
    references = [segment["target"] for segment in segments]
    value = score(hypotheses, references, pair[3:], [metric])[metric]["score"]
    assert scores[0]["score"] == pytest.approx(value)


def test_the_search_starts_from_the_score_of_the_whole_model(
    model, processor, rows, prompt, greedy
):
    segments = [row for row in rows if row["pair"] == "en-de"]
    clips = encode_clips(model, processor, read_clips(segments, processor))
    found, hypotheses = score_unpruned(model, processor, segments, clips, prompt, greedy, "auto")
    translated = translate(model, processor, segments, prompt, greedy)
    assert hypotheses == [
        {"id": segment["id"], "hypothesis": text}
        for segment, text in zip(segments, translated, strict=True)
    ]
    references = [segment["target"] for segment in segments]
    value = score(translated, references, "de", ["chrf++"])["chrf++"]["score"]
    assert found == {"metric": "chrf++", "score": pytest.approx(value)}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_shards_find_what_one_job_finds(count, build, processor, rows, prompt):
    model = build(3)
    segments = [row for row in rows if row["pair"] == "en-de"]
    clips = encode_clips(model, processor, read_clips(segments, processor))

    def search(candidates, batch_size):
        generation = GenerationSettings(batch_size, 12, "fp32")
        return score_removals(
            model,
            processor,
            [0, 1, 2, 3],
            candidates,
            segments,
            clips,
            prompt,
            generation,
            configured(SearchSettings),
        )

    whole = search([0, 1, 2, 3], 12)
    parts = [search(share([0, 1, 2, 3], number, count), 2) for number in range(1, count + 1)]
    for rows_of_whole, of_parts in zip(whole, zip(*parts, strict=True), strict=True):
        together = [row for part in of_parts for row in part]
        assert sorted(together, key=lambda row: row["layer"]) == rows_of_whole


def test_rounds_of_a_race_translate_what_one_batch_does(
    build, processor, rows, prompt, greedy, monkeypatch
):
    monkeypatch.setattr("slimspeech.pruning.racing.ROUND", 1)
    segments = [row for row in rows if row["pair"] == "en-de"]
    clips = read_clips(segments, processor)
    inputs = (build(3), processor, [0, 1, 2, 3], [1, 2], segments, clips, prompt, greedy)
    scores, hypotheses = score_removals(*inputs, configured(SearchSettings))
    raced, of_race = score_removals(*inputs, configured(SearchSettings, racing=True))
    assert of_race == hypotheses
    assert raced == [row | {"segments": len(segments)} for row in scores]


def test_other_criteria_write_no_hypotheses(model, processor, rows, prompt, greedy):
    segments = [row for row in rows if row["pair"] == "en-de"]
    corpus = GoldCorpus(model, processor, segments, prompt, 4)
    expected = {
        "loss": removal_losses(corpus, [0, 1, 2, 3], [1, 2]),
        "kl": removal_divergences(corpus, [0, 1, 2, 3], [1, 2]),
        "block_influence": block_influence(corpus, [0, 1, 2, 3], [1, 2]),
        "angular": angular_distances(corpus, [1, 2], 2),
    }
    for criterion, costs in expected.items():
        scores, hypotheses = score_removals(
            model,
            processor,
            [0, 1, 2, 3],
            [1, 2],
            segments,
            [],
            prompt,
            greedy,
            configured(SearchSettings, criterion, block=2),
        )
        assert scores == [
            {"layer": layer, "metric": criterion, "score": costs[layer]} for layer in (1, 2)
        ]
        assert hypotheses == []


def test_a_shard_without_layers_is_empty(model, processor, rows, prompt, greedy):
    for criterion in ("chrf", "loss"):
        settings = configured(SearchSettings, criterion)
        inputs = (model, processor, [0, 1], [], rows[:1], [], prompt, greedy, settings)
        assert score_removals(*inputs) == ([], [])


def test_search_wants_segments_of_one_pair(model, processor, rows, prompt, greedy):
    for segments in ([], rows):
        with pytest.raises(InputError, match="one pair"):
            score_removals(
                model,
                processor,
                range(4),
                [1],
                segments,
                [],
                prompt,
                greedy,
                configured(SearchSettings),
            )
