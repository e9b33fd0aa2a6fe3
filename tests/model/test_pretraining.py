import torch

from slimspeech.mini.pretraining import letters, train_listening, words


def test_units_leave_out_what_is_not_spoken():
    assert letters("A b, Z's.") == ["a", " ", "b", " ", "z", "'", "s"]
    assert words("Hi, we don't know.") == ["hi", "we", "don't", "know"]


def test_encoder_learns_to_hear_and_nothing_else_changes(build, processor, rows):
    model = build(0)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    spoken = [{**row, "source": word} for row, word in zip(rows, "abcdef", strict=True)]
    curve = train_listening(
        model, processor, spoken, words, epochs=60, batch_size=6, learning_rate=5e-3, seed=0
    )
    assert [entry["step"] for entry in curve] == [50, 60]
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    changed = {n for n, w in model.named_parameters() if not torch.equal(w, before[n])}
    assert changed
    assert all(name.startswith("model.audio_tower.") for name in changed)
    assert "model.audio_tower.embed_positions.weight" not in changed  # fixed sinusoids
