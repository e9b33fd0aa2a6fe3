"""Pretraining of the mini model's encoder and decoder, before it learns to translate speech.

Qwen2-Audio starts from Whisper's encoder and Qwen's language model. Without such a start, the
decoder first learns the language of the targets and almost ignores the audio.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.data.audio import read_audio
from slimspeech.families.whisper import padding_bias, pooled, state_counts, states, token_counts
from slimspeech.models.collation import IGNORED, extract_features
from slimspeech.models.prompts import Prompt
from slimspeech_mini.grammar import Sentence

Curve = list[dict[str, float]]


def pretrain(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    sentences: Iterator[Sentence],
    prompt: Prompt,
    pairs: Sequence[str],
    *,
    seed: int,
    workers: int = 0,
) -> Curve:
    """Train the encoder on letters, then words; the decoder on text; then join them. In place.

    rows: one per utterance. Returns the curve: dicts with the stage (`learnt`), step and loss (the
    mean since the previous entry).
    """
    options = {"batch_size": 32, "learning_rate": 2e-3, "workers": workers}
    curves = {
        "letters": train_encoder(model, processor, rows, letters, epochs=1.5, seed=seed, **options),
        "words": train_encoder(model, processor, rows, words, epochs=1.0, seed=seed + 1, **options),
        "reading": train_decoder(
            model,
            processor,
            sentences,
            prompt,
            pairs,
            steps=600,
            batch_size=64,
            learning_rate=2e-3,
            seed=seed + 2,
        ),
        "joining": train_joining(model, processor, rows, epochs=1.0, seed=seed + 3, **options),
    }
    return [{"learnt": name} | entry for name, curve in curves.items() for entry in curve]


def letters(text: str) -> list[str]:
    """The letters of an English text, and the spaces between its words."""
    return re.findall("[a-z' ]", text.lower())


def words(text: str) -> list[str]:
    return re.findall("[a-z']+", text.lower())


def train_encoder(
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
) -> Curve:
    """Train the audio encoder in place to recognise the units of the source text (CTC).

    units: letters or words. The layer that classifies them is thrown away.
    """
    labels = sorted({unit for row in rows for unit in units(row["source"])})
    numbers = {unit: number for number, unit in enumerate(labels, start=1)}  # 0 is CTC's blank
    tower = model.model.audio_tower
    torch.manual_seed(seed)
    head = nn.Linear(tower.config.d_model, len(labels) + 1)

    def loss(features: Tensor, mask: Tensor, targets: list[Tensor]) -> Tensor:
        output = states(tower, features, padding_bias(mask, torch.float32))
        return _ctc(head(tower.layer_norm(output)), state_counts(mask), targets)

    def label(text: str) -> list[int]:
        return [numbers[unit] for unit in units(text)]

    loader = _load_speech(processor, rows, label, batch_size, seed, workers)
    weights = [*tower.parameters(), *head.parameters()]
    return _train_on_speech(model, weights, loader, loss, epochs, learning_rate, units.__name__)


def train_joining(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    *,
    epochs: float,
    batch_size: int,
    learning_rate: float,
    seed: int,
    workers: int = 0,
) -> Curve:
    """Train encoder and projector in place to give the decoder's embeddings of the spoken words.

    CTC again, but the score of a token is the similarity of a state to that token's embedding. The
    embeddings stay unchanged, so that the decoder gets from audio what it learnt from text.
    """
    tower, projector = model.model.audio_tower, model.model.multi_modal_projector
    table = model.get_input_embeddings().weight.detach()
    scale = nn.Parameter(1 / table.norm(dim=1).mean())
    blank = nn.Parameter(torch.zeros(table.shape[1]))
    tokenizer = processor.tokenizer

    def loss(features: Tensor, mask: Tensor, targets: list[Tensor]) -> Tensor:
        embeddings = projector(pooled(tower, features, padding_bias(mask, torch.float32)))
        scores = scale * (embeddings @ torch.cat([blank[None], table]).T)
        return _ctc(scores, token_counts(mask), targets)

    def tokens(text: str) -> list[int]:
        ids = tokenizer(" ".join(words(text)), add_special_tokens=False).input_ids
        return [token + 1 for token in ids]

    loader = _load_speech(processor, rows, tokens, batch_size, seed, workers)
    weights = [*tower.parameters(), *projector.parameters(), scale, blank]
    return _train_on_speech(model, weights, loader, loss, epochs, learning_rate, "joining")


def train_decoder(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    sentences: Iterator[Sentence],
    prompt: Prompt,
    pairs: Sequence[str],
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> Curve:
    """Train the decoder in place to translate text in the place of the audio.

    The pairs take turns. The loss is on the English text and on the translation.
    """
    tokenizer = processor.tokenizer
    end_of_turn = families.of_processor(processor).end_of_turn
    slots = {pair: prompt.render(processor, pair).split(processor.audio_token) for pair in pairs}

    def encode(sentence: Sentence, pair: str) -> tuple[list[int], list[int]]:
        before, after = slots[pair]
        parts = (
            (before, False),
            (sentence.source, True),
            (after, False),
            (sentence.targets[pair.split("-")[1]] + end_of_turn, True),
        )
        ids, labels = [], []
        for text, learnt in parts:
            tokens = tokenizer(text, add_special_tokens=False).input_ids
            ids += tokens
            labels += tokens if learnt else [IGNORED] * len(tokens)
        return ids, labels

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        while True:
            rows = [
                encode(sentence, pairs[number % len(pairs)])
                for number, sentence in enumerate(islice(sentences, batch_size))
            ]
            longest = max(len(ids) for ids, _ in rows)
            ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
            labels = torch.full((len(rows), longest), IGNORED)
            mask = torch.zeros((len(rows), longest), dtype=torch.long)
            for number, (tokens, learnt) in enumerate(rows):
                ids[number, : len(tokens)] = torch.tensor(tokens)
                labels[number, : len(tokens)] = torch.tensor(learnt)
                mask[number, : len(tokens)] = 1
            yield ids, mask, labels

    def loss(ids: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        hidden = model.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False)[0]
        learnt = labels[:, 1:] != IGNORED
        logits = model.lm_head(hidden[:, :-1][learnt])
        return nn.functional.cross_entropy(logits.float(), labels[:, 1:][learnt])

    torch.manual_seed(seed)
    weights = [*model.get_decoder().parameters(), *model.lm_head.parameters()]
    return _train(model, weights, batches(), loss, steps, learning_rate, "reading")


def _load_speech(
    processor: ProcessorMixin,
    rows: Sequence[Row],
    label: Callable[[str], list[int]],
    batch_size: int,
    seed: int,
    workers: int,
) -> torch.utils.data.DataLoader:
    """Batches of features (B, bins, frames), their mask (B, frames) and B lists of labels."""
    rate = processor.feature_extractor.sampling_rate

    def collate(batch: list[Row]) -> tuple[Tensor, Tensor, list[Tensor]]:
        audio = extract_features(processor, [read_audio(row["audio"], rate) for row in batch])
        labels = [torch.tensor(label(row["source"])) for row in batch]
        return audio["input_features"], audio["feature_attention_mask"], labels

    return torch.utils.data.DataLoader(
        rows,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        collate_fn=collate,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),
    )


def _train_on_speech(
    model: PreTrainedModel,
    weights: Sequence[nn.Parameter],
    loader: torch.utils.data.DataLoader,
    loss: Callable[..., Tensor],
    epochs: float,
    learning_rate: float,
    name: str,
) -> Curve:
    """_train() for a number of passes through the loader, not necessarily whole."""

    def endless() -> Iterator[tuple]:
        while True:
            yield from loader

    return _train(model, weights, endless(), loss, int(epochs * len(loader)), learning_rate, name)


def _ctc(scores: Tensor, counts: Tensor, targets: list[Tensor]) -> Tensor:
    """scores: (B, states, labels). counts: (B,), states without padding. targets: B label lists."""
    return nn.functional.ctc_loss(
        scores.float().log_softmax(-1).transpose(0, 1),
        torch.cat(targets),
        counts,
        torch.tensor([len(labels) for labels in targets]),
        zero_infinity=True,
    )


def _train(
    model: PreTrainedModel,
    weights: Sequence[nn.Parameter],
    batches: Iterator[tuple],
    loss_of: Callable[..., Tensor],
    steps: int,
    learning_rate: float,
    name: str,
) -> Curve:
    """AdamW with one cycle. Returns dicts with step and loss, the mean since the previous one."""
    model.set_attn_implementation("eager")  # faster backwards on the CPU
    weights = [weight for weight in weights if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    curve, recent = [], []
    model.train()
    with tqdm(islice(batches, steps), total=steps, desc=name, unit="step", mininterval=5) as bar:
        for step, batch in enumerate(bar, start=1):
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(*batch)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            recent.append(loss.item())
            if step % 50 == 0 or step == steps:
                curve.append({"step": step, "loss": sum(recent) / len(recent)})
                bar.set_postfix(loss=curve[-1]["loss"])
                recent = []
    model.eval()
    return curve
