import ast
import json
import re
from copy import deepcopy

import pytest
from huggingface_hub import EvalResult, ModelCard
from made_release import COMPARISON, CONFIG, COST, SIZES, made_facts, made_packed

from slimspeech.release.card.card import metadata, model_card
from slimspeech.release.card.snippet import snippet


@pytest.fixture
def packed(tmp_path):
    return made_packed(tmp_path)


@pytest.fixture
def facts(packed):
    return json.loads(json.dumps(made_facts(packed)))  # as it is read back


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    section = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", text, re.M | re.S)[1]
    table = re.search(r"(?:^\|.*\|$\n?)+", section, re.M)[0]
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table.splitlines()
    ]


def test_the_hubs_library_reads_the_card_back(facts):
    card = ModelCard(model_card(facts))
    assert card.data.to_dict() == metadata(facts).to_dict()
    assert str(ModelCard(str(card))) == str(card)
    data = card.data
    assert data.language == ["en", "de"]
    assert data.license == "apache-2.0"
    assert data.base_model == "Qwen/Qwen2-Audio-7B-Instruct"
    assert data.base_model_relation == "finetune"
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "audio-text-to-text"
    assert data.datasets == ["ymoslem/acl-6060"]
    assert data.metrics == ["bleu", "chrf"]
    assert {"speech-translation", "layer-pruning", "4-bit"} <= set(data.tags)


def test_the_scores_are_in_the_model_index(facts):
    results = ModelCard(model_card(facts)).data.eval_results
    assert all(isinstance(result, EvalResult) for result in results)
    assert [(r.metric_type, r.metric_name, r.metric_value) for r in results] == [
        ("bleu", "BLEU", 36.79),
        ("chrf", "chrF++", 59.4),
    ]
    assert results[1].metric_args == {"word_order": 2}
    assert {r.dataset_name for r in results} == {"ACL 60/60, 100 test segments"}


def test_scores_with_their_intervals_beside_teacher_and_base(facts):
    table = rows(model_card(facts), "Scores")
    assert table[0] == ["system", "BLEU", "of teacher", "chrF++", "of teacher"]
    base, teacher, student = table[2:]
    assert base[:3] == ["base", "30.1 [28.9, 31.6]", "80.0 % [78.0, 82.0]"]
    assert base[3:] == ["50.0 [48.8, 51.5]", "83.3 % [81.3, 85.3]"]
    assert teacher == ["teacher", "37.5 [36.2, 39.0]", "100.0 %", "60.0 [58.8, 61.5]", "100.0 %"]
    assert student[:3] == ["**this student (B)**", "36.8 [35.5, 38.3]", "98.1 % [96.1, 100.1]"]
    assert student[3:] == ["59.4 [58.1, 60.9]", "99.0 % [97.0, 101.0]"]
    text = model_card(facts)
    assert "nrefs:1|nw:2|version:2.6.0" in text
    assert "On 100 test segments of ACL 60/60" in text


def test_sizes_layers_recipe_and_data(facts):
    text = model_card(facts)
    assert rows(text, "Size")[4][1:5] == ["24", "6.78 B", "5.61 GB", "33.4 %"]
    assert "by their index in the teacher (from 0): 4, 2." in text
    steps = dict(rows(text, "How it was made")[2:])
    assert list(steps) == ["teacher", "layers", "stage 1, full", "stage 2, qlora", "packed"]
    assert "r 64, alpha 128" in steps["stage 2, qlora"]
    assert "2 × translations by the teacher" in steps["stage 2, qlora"]
    assert "3 epochs, batch 8, learning rate 1e-05" in steps["teacher"]
    corpora = rows(text, "Data and licences")[2:]
    assert corpora[0][0] == "ACL 60/60" and corpora[0][2] == "CC BY 4.0"
    assert "Salesky et al. 2023." in text
    assert "10.18653/v1/2025.iwslt-1.40" in text


def test_data_that_a_student_was_not_trained_on_is_left_out(packed):
    facts = deepcopy(made_facts(packed))
    facts["corpora"].append(facts["corpora"][0] | {"role": "out_of_domain", "name": "CoVoST 2"})
    assert "CoVoST 2" not in model_card(facts)
    facts["recipe"]["stages"][1]["data"]["out_of_domain"] = 1
    assert rows(model_card(facts), "Data and licences")[3][:2] == ["CoVoST 2", "out of domain"]


def test_speed_names_the_machine(packed):
    costs = {name: COST for name in SIZES} | {"base": COST | {"device": "NVIDIA H100"}}
    text = model_card(made_facts(packed, costs=costs))
    assert "Measured on NVIDIA H100 (base); CPU, 1 thread (teacher, B)" in text
    assert "no GPU was tried" not in text
    batches = [row[3] for row in rows(text, "Speed")[2:] if row[0] == "base"]
    assert batches == ["1", "8"], "clip by clip, and the best"
    assert "no GPU was tried" in model_card(made_facts(packed))


def test_a_student_that_was_not_evaluated(packed):
    sizes = {"B": SIZES["B"]}
    facts = made_facts(packed, sizes, costs={}, comparison=None)
    text = model_card(facts)
    data = ModelCard(text).data
    assert data.eval_results is None and data.metrics is None
    assert "model-index" not in text
    assert "No scores are known" in text
    assert "It was not measured." in text


def test_unknown_metadata_is_left_out(packed):
    unknown = {key: None for key in CONFIG["release"]} | {"datasets": []}
    facts = made_facts(packed, base={"model": "/models/mine"}, release=unknown)
    text = model_card(facts)
    data = ModelCard(text).data.to_dict()
    assert not {"license", "base_model", "base_model_relation", "datasets"} & data.keys()
    assert "This student has no licence yet" in text
    assert "`mine`, has an unknown licence" in text


def test_an_own_licence(packed):
    own = {"license": "other", "license_name": "my-licence", "license_link": "LICENSE"}
    text = model_card(made_facts(packed, release=CONFIG["release"] | own))
    assert ModelCard(text).data.to_dict().items() >= own.items()
    assert "released under my-licence" in text


@pytest.mark.parametrize(
    ("teacher", "stages", "quantization", "expected"),
    [
        (None, [], "nf4", "finetune"),
        ("given", CONFIG["recipe"]["stages"], "nf4", "finetune"),
        ("given", [], "nf4", "quantized"),
        ("given", [], "none", "finetune"),
    ],
)
def test_relation_to_the_base(packed, teacher, stages, quantization, expected):
    facts = deepcopy(made_facts(packed))
    facts["teacher"]["model"] = teacher
    facts["recipe"]["stages"] = stages
    facts["size"]["quantization"] = quantization
    assert metadata(facts).base_model_relation == expected


def test_the_mini_model_is_called_a_toy(packed):
    sizes = SIZES | {"B": SIZES["B"] | {"weights": 3_180_000}}
    text = model_card(made_facts(packed, sizes, base={"model": "resources/mini/base"}))
    assert "**This is a toy.** It has 3.18 M weights" in text
    assert "mini base model of slimspeech" in text
    assert "base_model" not in ModelCard(text).data.to_dict()["tags"]
    assert "Qwen2-Audio} Technical Report" not in text
    assert "toy" not in model_card(made_facts(packed))


def test_limits_say_why_scores_may_be_too_high(packed):
    text = model_card(made_facts(packed, search_split="test", data_split="paper"))
    assert "chosen by scores on the test segments" in text
    assert "the scores for a new speaker may be lower" in text
    honest = model_card(made_facts(packed))
    assert "too high" not in honest and "new speaker" not in honest


def test_comet_is_shown_with_four_digits(packed):
    comparison = deepcopy(COMPARISON)
    for system in comparison["systems"].values():
        system["comet22"] = dict.fromkeys(system["bleu"], 0.81234)
    comparison["signatures"]["comet22"] = "nrefs:1|model:tiny"
    text = model_card(made_facts(packed, comparison=comparison))
    assert ModelCard(text).data.metrics == ["bleu", "chrf", "comet"]
    assert "0.8123 [0.8123, 0.8123]" in text
    assert "no metric of meaning" not in text


NASTY = 'Say "{source}"\\ in {target}:\n```\n--- | é'


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_any_prompt_becomes_valid_code(packed, template):
    prompt = {"system": NASTY.format(source="a", target="b"), "user": NASTY, "template": template}
    text = model_card(made_facts(packed, prompt=prompt))
    [code] = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    strings = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    request = NASTY.format(source="English", target="German")
    assert strings & {request, f"<|audio_bos|><|AUDIO|><|audio_eos|>{request}"}
    assert "slimspeech" not in code


def test_names_with_bars_and_colons_break_nothing(packed):
    facts = deepcopy(made_facts(packed))
    facts["corpora"][0] |= {"name": "a|b: 'c'\n---\n# x", "licence": "CC0 | 1"}
    text = model_card(facts)
    [first, _] = ModelCard(text).data.eval_results
    assert first.dataset_name == "a|b: 'c' --- # x, 100 test segments"
    assert rows(text, "Data and licences")[2][:3] == [
        "a|b: 'c' --- # x",
        "gold: trained and tested on",
        "CC0 | 1",
    ]


def test_a_four_bit_embedding_is_loaded_by_the_loader(packed):
    sizes = deepcopy(SIZES)
    sizes["B"]["dtypes_by_part"]["embedding"] = ["nf4"]
    facts = made_facts(packed, sizes)
    assert "from load_student import load" in snippet(facts)
    assert "load_student.py" in model_card(facts)
    assert "load_student" not in model_card(made_facts(packed))


def test_an_adapter_that_is_kept_is_told(packed):
    sizes = deepcopy(SIZES)
    for key, value in (("weights", 1_000_000), ("bytes", 2_000_000)):
        sizes["B"][f"{key}_by_part"]["adapter"] = value
    sizes["B"]["dtypes_by_part"]["adapter"] = ["BF16"]
    facts = made_facts(packed, sizes, recipe=CONFIG["recipe"] | {"merge": "keep"})
    text = model_card(facts)
    assert "import peft" in snippet(facts) and "soxr peft==" in text
    assert "`from_pretrained` loads both from a folder" in text
    assert (
        "on the 4-bit model, kept beside it"
        in dict(rows(text, "How it was made")[2:])["stage 2, qlora"]
    )
    assert re.search(r"^\| adapter +\| +1.00 M \| +2.00 MB \| +BF16 \|$", text, re.M)
    assert "peft" not in snippet(made_facts(packed))


def test_a_trimmed_vocabulary_is_told_with_its_price(packed):
    trimmed = {"size": 20_000, "before": "packing"}
    lengths = {"texts": 184, "tokens": 5000, "trimmed": 5120, "longer_percent": 2.4}
    vocabulary = {"tokens": 151_649, "size": 19_968, "kept": [], "held_out": lengths}
    facts = made_facts(
        packed, vocabulary=vocabulary, recipe=CONFIG["recipe"] | {"vocabulary": trimmed}
    )
    assert facts["vocabulary"] == {"tokens": 151_649, "size": 19_968, "held_out": lengths}
    text = " ".join(model_card(facts).split())
    assert "trimmed to 19968 of 151649 tokens" in text
    assert "184 translations in German, takes 2.4 % more tokens" in text
    assert "chosen for German" in text and "other languages in many more tokens" in text
    steps = [cells[0] for cells in rows(model_card(facts), "How it was made")]
    assert steps[-2:] == ["vocabulary", "packed"]
    assert "vocabulary" not in model_card(made_facts(packed))


PACKING = {"merge": "rounded", "segments": 84, "loss": {"start": 1.0}}


@pytest.mark.parametrize(
    ("left", "told"), [({"merged": 97.2, "packed": 72.6}, True), (None, False)]
)
def test_what_packing_leaves_of_an_adapter_is_told_if_it_is_known(packed, left, told):
    facts = made_facts(packed, packing=PACKING | {"left_percent": left})
    text = " ".join(model_card(facts).split())
    assert ("last adapter gained on the validation part, 73 % is left" in text) == told
