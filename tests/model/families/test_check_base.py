"""The command that looks at a base model's real weights first; here at tiny random ones."""

import importlib

import yaml
from project import REPOSITORY


def test_every_check_is_good_or_not_compared(base, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    check_base = importlib.import_module("check_base")
    prompt = {"system": base.prompt.system, "user": base.prompt.user}
    config = {"base": {"model": str(base.directory)}, "pairs": ["en-de"], "prompt": prompt}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    clips = [row["audio"] for row in base.rows[:2]]
    assert check_base.main([str(path), *clips, "--max-new-tokens", "6"]) == 0
    out = capsys.readouterr().out
    assert out.count("| good |") >= 5 and out.count("2 of 2 translations equal") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
