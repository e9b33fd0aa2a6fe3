"""Teach the mini model's audio encoder to hear before it learns to translate.

The real Qwen2-Audio starts from Whisper's encoder. Without a start of its kind, the decoder learns
the language of the targets first and hardly listens.
"""

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.audio import read_audio
from slimspeech.encoder import crop, padding_bias, state_counts, states


def letters(text: str) -> list[str]:
    """The letters of an English text, and the spaces between its words."""
    return re.findall("[a-z' ]", text.lower())


def words(text: str) -> list[str]:
    return re.findall("[a-z']+", text.lower())


def train_listening(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    units: Callable[[str], list[str]],
    *,
    epochs: float,
    batch_size: int,
    learning_rate: float,
    seed: int,
    workers: int = 0,
) -> list[dict[str, float]]:
    """Train the audio encoder in place to name the units of the source text (CTC).

    Letters first, then words: once single states tell words, the decoder sees from the start which
    words were said, and learns to attend. The layer that names the units is not kept.
    Returns the curve: dicts with step and loss, the mean since the entry before.
    """
    model.set_attn_implementation("eager")  # faster backwards on the CPU
    labels = sorted({unit for row in rows for unit in units(row["source"])})
    numbers = {unit: number for number, unit in enumerate(labels, start=1)}  # 0 is CTC's blank
    tower = model.model.audio_tower
    rate = processor.feature_extractor.sampling_rate

    def collate(batch: list[Row]) -> tuple[Tensor, Tensor, list[Tensor]]:
        features = processor.feature_extractor(
            [read_audio(row["audio"], rate) for row in batch],
            sampling_rate=rate,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return (
            features["input_features"],
            features["attention_mask"],
            [torch.tensor([numbers[u] for u in units(row["source"])]) for row in batch],
        )

    torch.manual_seed(seed)
    head = nn.Linear(tower.config.d_model, len(labels) + 1)
    loader = torch.utils.data.DataLoader(
        rows,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        collate_fn=collate,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),
    )
    weights = [*tower.parameters(), *head.parameters()]
    weights = [weight for weight in weights if weight.requires_grad]
    steps = int(epochs * len(loader))
    optimizer = torch.optim.AdamW(weights, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    curve, recent = [], []
    tower.train()
    with tqdm(total=steps, desc="listening", unit="step", mininterval=5) as bar:
        while bar.n < steps:
            for features, mask, said in loader:
                features, mask = crop(features, mask)
                with torch.autocast("cpu", torch.bfloat16):
                    heard = states(tower, features, padding_bias(mask, torch.float32))
                    scores = head(tower.layer_norm(heard)).float().log_softmax(-1)
                loss = nn.functional.ctc_loss(
                    scores.transpose(0, 1),
                    torch.cat(said),
                    state_counts(mask),
                    torch.tensor([len(sentence) for sentence in said]),
                    zero_infinity=True,
                )
                loss.backward()
                nn.utils.clip_grad_norm_(weights, 1.0)
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
                bar.update()
                recent.append(loss.item())
                if bar.n % 50 == 0 or bar.n == steps:
                    curve.append({"step": bar.n, "loss": sum(recent) / len(recent)})
                    bar.set_postfix(loss=curve[-1]["loss"])
                    recent = []
                if bar.n == steps:
                    break
    tower.eval()
    return curve
