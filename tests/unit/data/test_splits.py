import datasets
import pytest
from settings import configured

from slimspeech.data.splits import SplitSettings, manifest, split
from slimspeech.errors import InputError


def rows(number: int = 12, per_talk: int = 3) -> list[dict]:
    return [
        {
            "id": f"dev-{k}",
            "talk": f"talk-{(k - 1) // per_talk}",
            "split": "dev",
            "index": k,
            "audio": f"audio/dev/sent_{k}.wav",
            "duration": 1.5,
            "texts": {"en": f"Sentence {k}.", "de": f"Satz {k}."},
            "corpus": "acl6060",
        }
        for k in range(1, number + 1)
    ]


def ids(part: list[dict]) -> list[str]:
    return [row["id"] for row in part]


def paper_rows() -> list[dict]:
    numbers = [("dev", k) for k in range(1, 469)] + [("eval", k) for k in range(1, 417)]
    return [{"id": f"{name}-{k}", "talk": name, "split": name} for name, k in numbers]


def test_paper_split_is_that_of_datasets():
    segments = paper_rows()
    parts = split(
        segments, configured(SplitSettings, "paper", test_size=100, validation_size=0, seed=0)
    )
    table = datasets.Dataset.from_dict({"id": ids(segments)})
    theirs = table.train_test_split(test_size=100, seed=0)
    assert ids(parts["test"]) == theirs["test"]["id"]
    assert ids(parts["train"]) == theirs["train"]["id"]
    assert parts["validation"] == []


def test_paper_split_as_published():
    segments = paper_rows()
    parts = split(segments, configured(SplitSettings, "paper"))
    assert [segments.index(row) for row in parts["test"][:5]] == [764, 290, 94, 519, 297]
    assert sum(row["split"] == "dev" for row in parts["test"]) == 53
    assert (len(parts["train"]), len(parts["test"])) == (784, 100)


def test_paper_validation_is_the_end_of_its_train():
    segments = paper_rows()
    whole = split(segments, configured(SplitSettings, "paper"))
    parts = split(segments, configured(SplitSettings, "paper", validation_size=84))
    assert parts["test"] == whole["test"]
    assert parts["train"] + parts["validation"] == whole["train"]
    assert len(parts["validation"]) == 84


def test_talks_stay_together():
    settings = configured(
        SplitSettings, "talks", test_talks=["talk-3"], validation_talks=["talk-1"]
    )
    parts = split(rows(), settings)
    assert ids(parts["test"]) == ["dev-10", "dev-11", "dev-12"]
    assert ids(parts["validation"]) == ["dev-4", "dev-5", "dev-6"]
    assert ids(parts["train"]) == ["dev-1", "dev-2", "dev-3", "dev-7", "dev-8", "dev-9"]


def test_validation_is_drawn_from_train_where_no_talk_is_named():
    settings = configured(SplitSettings, "talks", test_talks=["talk-3"], validation_size=2, seed=5)
    parts = split(rows(), settings)
    assert len(parts["validation"]) == 2
    drawn = {*ids(parts["train"]), *ids(parts["validation"])}
    assert drawn == {f"dev-{k}" for k in range(1, 10)}
    assert parts == split(rows(), settings)
    others = [
        ids(
            split(rows(), configured(SplitSettings, "talks", ["talk-3"], (), 0, 2, seed))[
                "validation"
            ]
        )
        for seed in range(8)
    ]
    assert len({tuple(other) for other in others}) > 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            configured(SplitSettings, "talks", ["talk-9"]),
            "no talk talk-9 .* talk-0, talk-1, talk-2, talk-3",
        ),
        (configured(SplitSettings, "talks", ["talk-1"], ["talk-8"]), "no talk talk-8"),
        (configured(SplitSettings, "talks", ["talk-1"], ["talk-1"]), "talk-1 in both"),
        (configured(SplitSettings, "talks"), "leaves test without"),
        (
            configured(SplitSettings, "talks", [f"talk-{k}" for k in range(4)]),
            "leaves train without",
        ),
        (configured(SplitSettings, "talks", ["talk-1"], validation_size=9), "leaves none of 9"),
        (configured(SplitSettings, "paper", test_size=12), "leave none of 12"),
        (configured(SplitSettings, "paper", test_size=100), "leave none of 12"),
        (configured(SplitSettings, "paper", test_size=6, validation_size=6), "leave none of 12"),
        (configured(SplitSettings, "paper", test_size=0), "leaves test without"),
    ],
)
def test_impossible_splits_are_refused(settings: SplitSettings, message: str):
    with pytest.raises(InputError, match=message):
        split(rows(), settings)


def given_rows(*splits: str) -> list[dict]:
    return [row | {"split": name} for row, name in zip(rows(len(splits)), splits, strict=True)]


def test_given_parts_keep_their_names(caplog):
    segments = given_rows("train", "dev", "tst-COMMON", "train", "tst-HE")
    parts = split(segments, configured(SplitSettings, "given"))
    assert {name: ids(part) for name, part in parts.items()} == {
        "train": ["dev-1", "dev-4"],
        "validation": ["dev-2"],
        "test": ["dev-3"],
    }
    assert "1 segments of the split tst-HE are left out" in caplog.text


def test_given_parts_without_one_to_validate_on():
    segments = given_rows("train", "test", "train", "train")
    parts = split(segments, configured(SplitSettings, "given", validation_size=1))
    assert (len(parts["train"]), len(parts["validation"]), ids(parts["test"])) == (2, 1, ["dev-2"])
    with pytest.raises(
        InputError, match="is for validation, and its splits are train, test; .*_size"
    ):
        split(segments, configured(SplitSettings, "given"))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("dev", "eval"), "is for train, and its splits are dev, eval; name one train"),
        (
            ("train", "dev"),
            "is for test, and its splits are train, dev; name one test or tst-COMMON",
        ),
        (("all", "all"), "is for train, and its splits are all;"),
    ],
)
def test_missing_given_parts(splits: tuple[str, ...], message: str):
    with pytest.raises(InputError, match=message):
        split(given_rows(*splits), configured(SplitSettings, "given"))


def test_manifest_row():
    assert list(manifest(rows(1), "en-de")[0].items()) == [
        ("id", "dev-1"),
        ("talk", "talk-0"),
        ("audio", "audio/dev/sent_1.wav"),
        ("duration", 1.5),
        ("source", "Sentence 1."),
        ("target", "Satz 1."),
        ("pair", "en-de"),
        ("origin", "gold"),
        ("corpus", "acl6060"),
    ]


def test_manifest_of_a_pair_that_was_not_prepared():
    with pytest.raises(InputError, match="dev-1 has no text in zh, only in en, de"):
        manifest(rows(2), "en-zh")
