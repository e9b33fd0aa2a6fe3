"""Whether an engine gives the words that our own code gives, of the same student and clips."""

from collections.abc import Mapping, Sequence
from typing import Any

from slimspeech.artifacts import Row
from slimspeech.engines.chat import Answer
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import align, search_metric
from slimspeech.evaluation.significance import Estimate, difference, draw, text_scores
from slimspeech.languages import target_code


def compare_words(
    pair: str,
    segments: Sequence[Row],
    own: Sequence[Row],
    hypotheses: Sequence[Row],
    answers: Sequence[Answer],
    prompts: Sequence[Row],
) -> Row:
    """How the hypotheses of an engine differ from our own; the content of a parity file.

    segments, own, hypotheses: rows of the same clips. answers: those of the engine, one for each
    part of a clip. prompts: rows whose `tokens` are those of each answer's prompt as our own code
    makes it. The metric is chrF++, or chrF for languages without spaces; few segments have no
    interval. Raises InputError if the rows do not match.
    """
    language = target_code(pair)
    metric = search_metric(language)
    times = draw(len(segments))
    texts = [align(rows, segments) for rows in (own, hypotheses)]
    own_scores, engine_scores = (text_scores(*text, language, metric, times) for text in texts)
    less = difference(engine_scores, own_scores)
    equal = sum(a == b for a, b in zip(texts[0][0], texts[1][0], strict=True))
    known = [
        (answer.prompt, row["tokens"])
        for answer, row in zip(answers, prompts, strict=True)
        if answer.prompt
    ]
    return {
        "clips": len(segments),
        "equal": equal,
        "other_prompts": sum(heard != ours for heard, ours in known) if known else None,
        "cut": sum(answer.cut for answer in answers),
        "metric": metric,
        "own_score": Estimate.of(own_scores).value,
        "engine_score": Estimate.of(engine_scores).value,
        "difference": less.value,
        "difference_low": less.low,
        "difference_high": less.high,
    }


def require_parity(parity: Mapping[str, Any], threshold: float) -> None:
    """Raise InputError if an engine heard other prompts, or lost more than `threshold` points."""
    problems = []
    if parity["other_prompts"]:
        problems.append(
            f"it made other prompts of {parity['other_prompts']} clips, so its tokenizer, chat "
            "template or audio settings are not the student's"
        )
    if parity["difference"] < -threshold:
        problems.append(f"it lost more than serving.threshold, {threshold:g}")
    if problems:
        raise InputError(
            f"{describe(parity)}: {'; '.join(problems)}; do not serve this export by this engine"
        )


def describe(parity: Mapping[str, Any]) -> str:
    """ "vLLM 0.32.0, CPU, float32, bf16: 167 of 184 equal, chrF++ -0.0 [-0.4, +0.4]"."""
    low, high = parity["difference_low"], parity["difference_high"]
    interval = "" if low is None else f" [{low:+.1f}, {high:+.1f}]"
    metric = {"chrf++": "chrF++", "chrf": "chrF"}[parity["metric"]]
    ended = f", {parity['cut']} cut at the limit of tokens" if parity["cut"] else ""
    return (
        f"{parity['engine']} {parity['version']} ({parity['device']}, {parity['dtype']}), "
        f"{parity['form']}: {parity['equal']} of {parity['clips']} equal{ended}, "
        f"{metric} {parity['difference']:+.1f}{interval}"
    )
