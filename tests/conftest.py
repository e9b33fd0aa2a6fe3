"""A tiny corpus in the layout of ACL 60/60, what it is packed into, a browser, the smoke run, and
the order of files."""

import json
import shutil
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from project import Project
from smoke_project import finished_smoke_project

TEXTS = {
    "en": ["Hello there.", "This is um a model.", "It is small.", "Thank you."],
    "de": ["Hallo.", "Das ist ein Modell.", "Es ist klein.", "Danke."],
    "zh": ["你好。", "这是一个模型。", "它很小。", "谢谢。"],
}


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


# The longest files. Each is the work of one process, so they begin first and all end together.
FIRST = (
    *("test_paper_on_mini.py", "test_slurm.py", "test_surroundings.py", "test_comet.py"),
    *("test_smoke.py", "test_docs.py", "test_dag.py", "test_caching.py", "test_report_page.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def tone(seconds: float, rate: int = 16_000, channels: int = 1) -> np.ndarray:
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave] * channels, axis=1) if channels > 1 else wave


@dataclass
class Corpus:
    """Writes dev and eval of two talks each; a test then spoils what it wants to."""

    root: Path
    splits: dict[str, dict[str, list[str]]] = field(
        default_factory=lambda: {split: dict(TEXTS) for split in ("dev", "eval")}
    )

    def split(self, name: str) -> Path:
        return self.root / "2" / "acl_6060" / name

    def clip(self, split: str, index: int) -> Path:
        return self.split(split) / "segmented_wavs" / "gold" / f"sent_{index}.wav"

    def text(self, split: str, language: str) -> Path:
        return self.split(split) / "text" / "txt" / f"ACL.6060.{split}.en-xx.{language}.txt"

    def xml(self, split: str, language: str) -> Path:
        return self.split(split) / "text" / "xml" / f"ACL.6060.{split}.en-xx.{language}.xml"

    def write(self) -> "Corpus":
        for split, texts in self.splits.items():
            for language, lines in texts.items():
                self.text(split, language).parent.mkdir(parents=True, exist_ok=True)
                self.text(split, language).write_text("\n".join(lines) + "\n", encoding="utf-8")
                self.xml(split, language).parent.mkdir(parents=True, exist_ok=True)
                # As in the eval files of the official archive, the & makes this no true xml.
                half = len(lines) // 2
                parts = ["<mteval>"]
                for index, line in enumerate(lines, start=1):
                    if index in (1, half + 1):
                        talk = f"{split}.talk.{1 if index == 1 else 2}"
                        parts += [f'<doc docid="{talk}">', f"<talkid>{talk}</talkid>"]
                        parts += ["<abstract>V&L</abstract>"]
                    parts.append(f'<seg id="{index}">{line}</seg>')
                self.xml(split, language).write_text("\n".join(parts), encoding="utf-8")
            for index in range(1, len(texts["en"]) + 1):
                self.clip(split, index).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(self.clip(split, index), tone(0.2 + index / 100), 16_000)
        return self

    def pack(self, kind: str) -> Path:
        """The corpus as "folder", or packed as "zip", "tar", "tar.gz", "tar.xz" or "tar.bz2"."""
        archive = self.root.with_name(f"acl.{kind}")
        if kind == "folder":
            return self.root
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        if kind == "zip":
            with zipfile.ZipFile(archive, "w") as file:
                for path in files:
                    file.write(path, path.relative_to(self.root))
        else:
            with tarfile.open(archive, f"w:{kind.partition('.')[2]}") as file:
                for path in files:
                    file.add(path, path.relative_to(self.root))
        return archive


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path / "corpus").write()


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, with a microphone that hears a beep every second."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        options = [
            "--no-sandbox",
            "--autoplay-policy=no-user-gesture-required",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
        ]
        browser = running.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The experiment of tests/config/smoke.yaml, which has run to its end."""
    return finished_smoke_project(tmp_path_factory)


@pytest.fixture(scope="session")
def smoke_hashes(smoke: Project) -> dict[str, str]:
    """The hashes of its results, as the run left them."""
    return json.loads((smoke.root / "hashes.json").read_text(encoding="utf-8"))
