import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from project import REPOSITORY
from settings import configured
from tiny_model import make_row, write_clip
from transformers import Trainer, TrainingArguments

from slimspeech.artifacts import write_json
from slimspeech.errors import InputError
from slimspeech.models.collation import Collator
from slimspeech.models.loading import load_model
from slimspeech.quantization.nf4 import nf4
from slimspeech.training.fine_tuning import (
    LoraSettings,
    TrainingSettings,
    add_adapter,
    expand_four_bit,
    fine_tune,
)

SHORT = configured(TrainingSettings, epochs=2, learning_rate=1e-3, batch_size=2, precision="fp32")
PARTS = ("audio_tower", "multi_modal_projector", "language_model")


@pytest.fixture
def train(processor, prompt, rows, tmp_path):
    """fine_tune on the six rows, 3 steps an epoch under SHORT, unless told otherwise."""

    def run(model, settings=SHORT, data=None, validation=(), prompt=prompt, seed=0):
        return fine_tune(
            model,
            processor,
            rows if data is None else data,
            list(validation),
            prompt,
            settings,
            seed=seed,
            workspace=str(tmp_path / "workspace"),
        )

    return run


@pytest.fixture
def qlora(trained):
    """Makes the 4-bit model with a fresh adapter, as rule train_adapter does."""

    def make(r=4, **lora):
        model = load_model(trained[0], torch.bfloat16, nf4())
        return add_adapter(model, configured(LoraSettings, r=r, alpha=8, **lora), seed=0)

    return make


def test_trainings_report_to_no_service(model, train, monkeypatch):
    """Whatever tokens lie in the environment."""
    monkeypatch.setenv("WANDB_API_KEY", "canary")
    seen = []

    def spy(self, *, args, **_):
        seen.append(args.report_to)
        raise KeyboardInterrupt

    monkeypatch.setattr("slimspeech.training.fine_tuning.UpdateTrainer.__init__", spy)
    with pytest.raises(KeyboardInterrupt):
        train(model)
    assert seen == [[]]


def weights_of(model):
    """Copies of all weights that are trained."""
    return {n: w.detach().clone() for n, w in model.named_parameters() if w.requires_grad}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def count_steps(monkeypatch):
    counted, usual = [], Trainer.training_step

    def training_step(self, *arguments, **options):
        counted.append(self.state.global_step)
        return usual(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "training_step", training_step)
    return counted


def test_loss_falls_to_nothing_on_rows_learnt_by_heart(trained):
    curve = trained[1]
    assert [entry["step"] for entry in curve] == list(range(10, 100, 10))
    assert curve[0]["loss"] > 3
    assert curve[-1]["loss"] < 0.1


def test_validation_is_scored_each_epoch(train, build, rows):
    curve = train(build(0), validation=rows[:2])
    scored = [entry for entry in curve if "eval_loss" in entry]
    assert [entry["epoch"] for entry in scored] == [1, 2]
    assert scored[1]["eval_loss"] < scored[0]["eval_loss"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_precisions_learn(precision, train, build, rows):
    model = build(0)
    before = weights_of(model)
    settings = replace(SHORT, precision=precision, epochs=4)
    curve = train(model, settings, validation=rows)
    assert curve[-1]["eval_loss"] < curve[0]["eval_loss"]
    assert model.dtype == torch.float32  # the weights of mixed precision stay whole
    for part in PARTS:
        assert any(not torch.equal(w, before[n]) for n, w in weights_of(model).items() if part in n)


def test_precision_is_a_known_one():
    with pytest.raises(InputError, match="one of auto, bf16, .* not 'fp16'"):
        replace(SHORT, precision="fp16")


def test_rank_is_positive():
    with pytest.raises(InputError, match="rank must be positive"):
        configured(LoraSettings, r=0)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_adapter_gets_gradient_and_the_base_stays(checkpointing, precision, train, qlora):
    model = qlora()
    base = {n: w.detach().clone() for n, w in model.named_parameters() if "lora" not in n}
    settings = replace(SHORT, epochs=1, gradient_checkpointing=checkpointing, precision=precision)
    train(model, settings)
    moved = [n for n, w in model.named_parameters() if "lora_B" in n and w.any()]  # from zero
    assert [sum(part in name for name in moved) for part in PARTS] == [6, 1, 28]
    assert {n for n, w in model.named_parameters() if w.requires_grad} == {
        n for n, _ in model.named_parameters() if "lora" in n
    }
    after = {n: w for n, w in model.named_parameters() if "lora" not in n}
    assert all(torch.equal(after[name], weight) for name, weight in base.items())


def test_adapters_as_published_in_effect_leave_out_the_audio_tower(qlora):
    """The pattern of the ablations, which config/README.md gives too."""
    ablations = (REPOSITORY / "config/iwslt2025_ablations.yaml").read_text(encoding="utf-8")
    [stage] = yaml.safe_load(ablations)["students"]["A_in_effect"]["stages"]
    pattern = stage["lora"]["target_modules"]
    assert pattern in (REPOSITORY / "config/README.md").read_text(encoding="utf-8")
    adapters = [n for n, _ in qlora(target_modules=pattern).named_parameters() if "lora_B" in n]
    assert [sum(part in name for name in adapters) for part in PARTS] == [0, 1, 28]


@pytest.mark.parametrize("native", [True, False])
def test_auto_computes_in_bf16_where_the_device_has_it(native, model, train, qlora, monkeypatch):
    monkeypatch.setattr("slimspeech.models.precision.has_native_bf16", lambda place: native)
    for trained in (model, qlora()):
        curve = train(trained, replace(SHORT, epochs=4, precision="auto"))
        assert {row["compute_dtype"] for row in curve} == {"bfloat16" if native else "float32"}


def test_expanded_four_bit_layers_compute_the_same(trained, features):
    """The same bits, forwards and backwards, in bfloat16; stored 4-bit weights stay."""
    found = []
    for expanded in (False, True):
        model = load_model(trained[0], torch.bfloat16, nf4())
        model.set_attn_implementation("eager")
        if expanded:
            expand_four_bit(model)
        model.train()
        embedding = model.get_input_embeddings().weight
        loss = model(**features).loss
        loss.backward()
        found.append((loss.detach(), embedding.grad, model.state_dict()))
    (loss, gradient, state), (loss_of_expanded, gradient_of_expanded, state_of_expanded) = found
    assert torch.equal(loss, loss_of_expanded)
    assert torch.equal(gradient, gradient_of_expanded) and gradient.any()
    assert state.keys() == state_of_expanded.keys()
    assert all(torch.equal(state[name], state_of_expanded[name]) for name in state)


def test_adapter_trains_on_after_an_evaluation(train, qlora, rows):
    """bitsandbytes packs 4-bit weights for inference at the first evaluation on some CPUs."""
    curve = train(qlora(), replace(SHORT, epochs=2), validation=rows[:2])
    assert [entry["epoch"] for entry in curve if "eval_loss" in entry] == [1, 2]


def test_checkpointing_changes_no_gradient(train, qlora):
    found = []
    for checkpointing in (False, True):
        model = qlora()
        train(model, replace(SHORT, epochs=1, gradient_checkpointing=checkpointing))
        found.append(weights_of(model))
    for name, weight in found[0].items():
        torch.testing.assert_close(found[1][name], weight, rtol=1e-3, atol=1e-5)


def test_adapter_is_fp32_and_starts_as_nothing(qlora):
    model, again, other = qlora(), qlora(), qlora(r=8)
    assert {w.dtype for w in weights_of(model).values()} == {torch.float32}
    assert same(weights_of(model), weights_of(again))
    assert not any(w.any() for n, w in weights_of(model).items() if "lora_B" in n)
    assert not same(weights_of(model), weights_of(other))


def gradients(model, run):
    """The gradients of the one update that `run` makes, before they are clipped."""
    found = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            weight.register_post_accumulate_grad_hook(
                lambda weight, name=name: found.__setitem__(name, weight.grad.clone())
            )
    run(model)
    return found


@pytest.mark.parametrize("alike", [True, False])
def test_accumulation_averages_the_micro_batches(alike, train, build, rows, tmp_path, prompt):
    """With answers of one length, 2 x 2 is a batch of 4. Else it is the mean of two means."""
    settings = replace(SHORT, epochs=1, max_grad_norm=1e9)
    data = []
    for number in range(4):
        audio = write_clip(tmp_path / f"{number}.wav", 1.0, 300 + 100 * number)
        target = "Guten Tag." if alike or number % 2 else "Vielen Dank, das ist ein Modell."
        data.append(make_row(f"s{number}", audio, 1.0, "en-de", target))
    split = gradients(
        build(0),
        lambda model: train(model, replace(settings, batch_size=2, gradient_accumulation=2), data),
    )
    whole = gradients(build(0), lambda model: train(model, replace(settings, batch_size=4), data))
    differences = [(split[name] - whole[name]).norm() / whole[name].norm() for name in split]
    if alike:
        assert max(differences) < 1e-3
    else:
        # Same scale in any case: an accumulated sum would be twice as long.
        for name in split:
            assert 0.6 < split[name].norm() / whole[name].norm() < 1.6


def test_loss_that_is_no_number_stops_the_rule(train, build, monkeypatch):
    model = build(0)
    model.model.multi_modal_projector.linear.weight.data[0, 0] = float("nan")
    with pytest.raises(RuntimeError, match="the loss is not a number"):
        train(model, replace(SHORT, epochs=4))  # 12 steps: one entry in the curve


def test_loss_that_breaks_after_the_last_entry_is_seen(train, build, monkeypatch):
    model, usual = build(0), Trainer.training_step

    def training_step(self, *arguments, **options):
        loss = usual(self, *arguments, **options)
        return loss * float("inf") if self.state.global_step == 10 else loss

    monkeypatch.setattr(Trainer, "training_step", training_step)
    with pytest.raises(RuntimeError, match="the loss is not a number"):
        train(model, replace(SHORT, epochs=4))


def test_nothing_to_train_on(train, build):
    with pytest.raises(InputError, match="no training rows"):
        train(build(0), data=[])


@pytest.mark.parametrize("where", ["data", "validation"])
def test_a_clip_longer_than_the_window_is_left_out_and_counted(where, train, build, rows, caplog):
    long = {**rows[0], "id": "dev-99", "audio": "would not be found.wav", "duration": 6.02}
    parts = {"data": rows[:2], "validation": []} | {where: [rows[1], long]}
    with caplog.at_level("WARNING", "slimspeech"):
        train(build(0), **parts)
    part = "training" if where == "data" else "validation"
    assert f"1 of 2 segments left out of {part}" in caplog.text and "6 s: dev-99" in caplog.text
    with pytest.raises(InputError, match="no training rows of at most 6 s"):
        train(build(0), data=[long])


def test_every_row_is_seen_once_an_epoch_in_an_order_of_the_seed(train, build, rows, monkeypatch):
    def orders(seed):
        seen, usual = [], Collator.__call__

        def call(self, batch):
            seen.extend(row["id"] for row in batch)
            return usual(self, batch)

        with monkeypatch.context() as patch:
            patch.setattr(Collator, "__call__", call)
            train(build(0), replace(SHORT, epochs=4), seed=seed)
        return [seen[start : start + len(rows)] for start in range(0, len(seen), len(rows))]

    first = orders(0)
    assert len(first) == 4
    assert all(sorted(epoch) == sorted(row["id"] for row in rows) for epoch in first)
    assert len(set(map(tuple, first))) > 1  # epochs differ
    assert orders(0) == first
    assert orders(1) != first


def test_several_gpus_in_sight_change_no_batch(train, build, monkeypatch):
    """The Trainer multiplies the batch by the GPUs that it finds."""
    alone, among_others = build(0), build(0)
    train(alone)

    usual = TrainingArguments.__post_init__

    def beside_another(arguments):
        usual(arguments)
        arguments._n_gpu = 2

    monkeypatch.setattr(TrainingArguments, "__post_init__", beside_another)
    train(among_others)
    assert same(weights_of(among_others), weights_of(alone))


def test_workspace_is_removed(train, build, tmp_path):
    train(build(0), replace(SHORT, epochs=1, checkpoint_steps=1))
    assert not (tmp_path / "workspace").exists()


RESUMABLE = replace(SHORT, epochs=3, checkpoint_steps=2)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_resumed_training_ends_as_an_uninterrupted_one(
    accumulation, train, build, monkeypatch, interrupt
):
    """Killed in the middle of the second epoch, after the checkpoint of step 4."""
    settings = replace(RESUMABLE, batch_size=2 // accumulation, gradient_accumulation=accumulation)
    whole, killed, resumed = build(0), build(0), build(0)
    curve = train(whole, settings)
    assert [entry["step"] for entry in curve] == [2, 4, 6, 8, 9]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 5 * accumulation)
        train(killed, settings)
    steps = count_steps(monkeypatch)
    assert train(resumed, settings) == curve
    assert steps[0] == 4 and steps[-1] == 8
    assert same(weights_of(resumed), weights_of(whole))
    assert not same(weights_of(killed), weights_of(whole))


def test_resumed_adapter_ends_as_an_uninterrupted_one(train, qlora, monkeypatch, interrupt):
    whole, resumed = qlora(), qlora()
    train(whole, RESUMABLE)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 5)
        train(qlora(), RESUMABLE)
    steps = count_steps(monkeypatch)
    train(resumed, RESUMABLE)
    assert steps[0] == 4
    assert same(weights_of(resumed), weights_of(whole))


BEST = replace(SHORT, epochs=3, learning_rate=3e-2, scheduler="constant", keep="best")


@pytest.mark.parametrize("kind", ["build", "qlora"])
def test_the_best_epoch_is_kept(kind, train, build, qlora, rows):
    """So high a learning rate does harm; one of nearly 0 then shows the loss of what was kept."""
    model = build(0) if kind == "build" else qlora()
    curve = train(model, BEST, data=rows[2:], validation=rows[:2])
    losses = {entry["step"]: entry["eval_loss"] for entry in curve if "eval_loss" in entry}
    best = min(losses, key=losses.get)
    assert best < max(losses)
    assert [entry["step"] for entry in curve if entry.get("kept")] == [best]
    unchanged = replace(SHORT, epochs=1, learning_rate=1e-12)
    [*_, after] = train(model, unchanged, data=rows[2:], validation=rows[:2])
    assert after["eval_loss"] == pytest.approx(losses[best], rel=1e-4)
    assert "kept" not in after


def test_resumed_training_keeps_the_best_epoch_before_it(
    train, build, rows, monkeypatch, interrupt
):
    settings = replace(BEST, checkpoint_steps=2)
    whole, resumed = build(0), build(0)
    curve = train(whole, settings, validation=rows[:2])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 5)
        train(build(0), settings, validation=rows[:2])
    assert train(resumed, settings, validation=rows[:2]) == curve
    assert same(weights_of(resumed), weights_of(whole))


def test_the_best_epoch_needs_validation_data(train, build):
    with pytest.raises(InputError, match="keep: best needs validation data"):
        train(build(0), BEST)


def test_checkpoint_cut_short_by_the_kill_is_passed_over(
    train, build, monkeypatch, tmp_path, interrupt
):
    whole, resumed = build(0), build(0)
    train(whole, RESUMABLE)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 5)
        train(build(0), RESUMABLE)
    kept = tmp_path / "workspace" / "checkpoint-4"
    assert kept.is_dir()
    shutil.copytree(kept, kept.with_name("checkpoint-6"))
    (kept.with_name("checkpoint-6") / "trainer_state.json").unlink()
    (kept.with_name("checkpoint-6") / "model.safetensors").write_bytes(b"half")
    steps = count_steps(monkeypatch)
    train(resumed, RESUMABLE)
    assert steps[0] == 4
    assert same(weights_of(resumed), weights_of(whole))


@pytest.mark.parametrize("change", ["settings", "seed", "rows", "prompt", "model"])
def test_checkpoint_of_another_training_is_thrown_away(
    change, train, build, rows, prompt, monkeypatch, interrupt
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 5)
        train(build(0), RESUMABLE)
    changed = {
        "settings": {"settings": replace(RESUMABLE, learning_rate=2e-3)},
        "seed": {"seed": 1},
        "rows": {"data": [*rows[1:], {**rows[0], "target": "Tag."}]},
        "prompt": {"prompt": replace(prompt, user="Now {source} into {target}:")},
        "model": {},
    }[change]
    start = 1 if change == "model" else 0
    steps = count_steps(monkeypatch)
    model, fresh = build(start), build(start)
    train(model, **{"settings": RESUMABLE} | changed)
    assert steps[0] == 0 and len(steps) == 9
    train(fresh, **{"settings": RESUMABLE} | changed)
    assert same(weights_of(model), weights_of(fresh))


def test_workspace_that_is_no_training_is_started_over(train, build, tmp_path, monkeypatch):
    stale = Path(tmp_path, "workspace", "checkpoint-7")
    stale.mkdir(parents=True)
    write_json(stale / "trainer_state.json", {})
    steps = count_steps(monkeypatch)
    train(build(0), replace(SHORT, epochs=1))
    assert steps == [0, 1, 2]
