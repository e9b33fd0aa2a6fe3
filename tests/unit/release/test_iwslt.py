import hashlib
import tarfile
from copy import deepcopy

from made_release import CONFIG, CORPORA, SIZES

from slimspeech.evaluation.resegmentation import read_talks
from slimspeech.release.iwslt import (
    Storage,
    declaration,
    description,
    model_name,
    plain_lines,
    storage_bytes,
    write_bundle,
    write_lines,
    write_whole_set,
)

SEGMENTS = [
    {"id": "1", "talk": "a", "target": "Guten Morgen, liebe Welt."},
    {"id": "2", "talk": "a", "target": "Wir danken der Jury."},
    {"id": "3", "talk": "b", "target": "Nun zum zweiten Teil."},
]
OUT_OF_DOMAIN = CORPORA[0] | {"role": "out_of_domain", "corpus": "covost2", "name": "CoVoST 2"}
STORAGE = Storage(files=5_612_345_678, state_dict=5_611_000_000)
BASE = "Qwen/Qwen2-Audio-7B-Instruct"


def rows(*texts):
    return [{"id": str(i), "hypothesis": text} for i, text in enumerate(texts, start=1)]


def test_each_segment_is_one_line(tmp_path):
    lines = plain_lines(rows("Guten\nMorgen\u2028Welt.", "", "Nun  gut."), SEGMENTS)
    write_lines(lines, tmp_path / "all.txt", tmp_path / "talks")
    assert (tmp_path / "all.txt").read_text(encoding="utf-8") == "Guten Morgen Welt.\n\nNun gut.\n"
    assert (tmp_path / "talks" / "a.txt").read_text(encoding="utf-8") == "Guten Morgen Welt.\n\n"
    assert read_talks(tmp_path / "talks", SEGMENTS) == {"a": "Guten Morgen Welt.", "b": "Nun gut."}


def test_the_whole_set_is_one_more_talk(tmp_path):
    write_whole_set(plain_lines(rows("Eins.", "Zwei.", "Drei."), SEGMENTS), tmp_path)
    [path] = tmp_path.iterdir()
    assert path.read_text() == "Eins.\nZwei.\nDrei.\n"


def test_a_talk_with_a_slash_stays_in_its_folder(tmp_path):
    write_lines({"../a": ["one"], "100%": ["two"]}, tmp_path / "all.txt", tmp_path / "talks")
    names = sorted(path.name for path in (tmp_path / "talks").iterdir())
    assert names == ["..%2Fa.txt", "100%25.txt"]
    assert (tmp_path / "all.txt").read_text() == "one\ntwo\n"


def test_declaration():
    size = {"weights": 6, "bytes": 3, "quantization": "nf4", "decoder_layers": 24, "other": 0}
    lines = plain_lines(rows("x", "y", "z"), SEGMENTS)
    assert declaration("en-de", "B", lines, size, {"layers_removed": 8}) == {
        "pair": "en-de",
        "system": "B",
        "weights": 6,
        "bytes": 3,
        "quantization": "nf4",
        "decoder_layers": 24,
        "recipe": {"layers_removed": 8},
        "talks": {"a": 2, "b": 1},
    }


SUBMISSION = {"team": "KIT", "primary": "B", "tests": {}}


def declared(system="B", recipe=CONFIG["recipe"], pair="en-de"):
    talks = {"2022.acl-long.268": 107}
    return {"pair": pair, "system": system, "recipe": recipe, "talks": talks}


def described(
    system="B", recipe=CONFIG["recipe"], corpora=CORPORA, base=BASE, storage=STORAGE, pair="en-de"
):
    form = declared(system, recipe, pair)
    name = model_name(form, corpora, SUBMISSION)
    return description(name, form, SIZES["B"], CONFIG["teacher"], corpora, base, storage)


def test_answers_to_the_form():
    text = described()
    assert "`KIT_IWSLT27_ModelCompression_en-de_constrained_primary`\n" in text
    assert "5,612,345,678 bytes on disk (5.61 GB), of which weights 5,610,000,000 bytes" in text
    # bytes / 1024**3 with two digits, as the organisers' script prints it
    assert "5,611,000,000 bytes by `torch.save` of the state dict, which is 5.23 GiB" in text
    assert "6,777,929,728 (6.78 B)" in text
    assert "2 decoder layers removed, by the criterion `chrf`" in text
    assert "LoRA (r 64, alpha 128)" in text and "4-bit NF4" in text
    assert f"Derived from: {BASE}\n" in text
    assert "Data: ACL 60/60, CC BY 4.0" in text
    assert "- 2022.acl-long.268: 107\n" in text


def test_the_condition_depends_on_the_training_data():
    recipe = deepcopy(CONFIG["recipe"])
    corpora = [*CORPORA, OUT_OF_DOMAIN]
    assert "Condition: constrained; trained on ACL 60/60 alone" in described(corpora=corpora)
    recipe["stages"][1]["data"]["out_of_domain"] = 1
    text = described(recipe=recipe, corpora=corpora)
    assert "Condition: unconstrained; trained on ACL 60/60 and CoVoST 2 alone" in text
    assert "en-de_unconstrained_primary" in text
    own = [CORPORA[0] | {"name": "my talks"}]
    assert "Condition: unconstrained; trained on my talks alone" in described(corpora=own)
    assert "it was not trained" in described("base", None)


def test_systems_other_than_students():
    text = described("teacher", None)
    assert "for comparison" in text and "en-de_constrained_contrastive" in text
    assert "layers removed from the fine-tuned model" in described("pruned-03", None)


def test_a_pair_that_the_form_does_not_list():
    assert "the form lists en-de, en-ar, en-zh only" in described(pair="en-ja")


FILES = {"description.md": "Größe".encode(), "talks/b.txt": b"zwei\n", "talks/a.txt": b"eins\n"}


def test_the_archive_does_not_depend_on_the_time(tmp_path, monkeypatch):
    write_bundle(tmp_path / "one.tar.gz", "mine", FILES)
    monkeypatch.setattr("time.time", lambda: 1e9)
    write_bundle(tmp_path / "two.tar.gz", "mine", dict(reversed(FILES.items())))
    one, two = ((tmp_path / f"{name}.tar.gz").read_bytes() for name in ("one", "two"))
    assert hashlib.sha256(one).digest() == hashlib.sha256(two).digest()
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        content = {member.name: archive.extractfile(member).read() for member in archive}
        assert {(m.mtime, m.uid, m.uname) for m in archive} == {(0, 0, "")}
    assert content == {f"mine/{name}": data for name, data in FILES.items()}


def test_storage_is_of_all_files(tmp_path):
    for name, size in {"model.safetensors": 1000, "config.json": 20, ".snakemake": 7}.items():
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more").write_bytes(bytes(3))
    assert storage_bytes(tmp_path) == 1023
