"""Write a tiny COMET checkpoint and print what COMET itself makes of some samples.

    .venv-comet/bin/python tests/workflow/tiny_comet.py FOLDER CLASS < samples.json

All is COMET's own: its classes, encoder and tokenizer, its trainer's checkpoint, its loader. Only
the sizes are small and the weights random. Run in COMET's environment.
"""

import json
import sys
from pathlib import Path

import torch
import yaml
from comet import load_from_checkpoint, models
from pytorch_lightning import Trainer
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import Unigram
from tokenizers.processors import TemplateProcessing
from transformers import XLMRobertaConfig, XLMRobertaTokenizerFast

ENCODER = {"encoder_model": "XLM-RoBERTa", "load_pretrained_weights": False}
ESTIMATOR = {"hidden_sizes": [16, 8], "final_activation": "Sigmoid"}
CLASSES = {
    "RegressionMetric": (models.RegressionMetric, {}),
    "CometKiwi": (models.UnifiedMetric, {"input_segments": ["mt", "src"], "word_layer": 2}),
    "XCOMETMetric": (models.XCOMETMetric, {"word_layer": 2}),
    "RankingMetric": (models.RankingMetric, {}),
}
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def write_encoder(folder: Path, texts: list[str]) -> None:
    """Config and tokenizer of an XLM-RoBERTa that reads letter by letter."""
    letters = sorted(set("".join(texts)) | {"▁"})
    pieces = [(piece, 0.0) for piece in SPECIAL] + [(letter, -1.0) for letter in letters]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    ends = [("<s>", 0), ("</s>", 2)]
    pattern = {"single": "<s> $A </s>", "pair": "<s> $A </s> </s> $B </s>"}
    tokenizer.post_processor = TemplateProcessing(**pattern, special_tokens=ends)
    XLMRobertaTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    XLMRobertaConfig(
        vocab_size=len(pieces) + 1,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=514,
        pad_token_id=1,
    ).save_pretrained(folder)


def write_checkpoint(folder: Path, name: str, encoder: str) -> Path:
    """As COMET trains them: checkpoints/model.ckpt, and hparams.yaml beside that folder."""
    torch.manual_seed(1)
    kind, more = CLASSES[name]
    sizes = ENCODER if name == "RankingMetric" else ENCODER | ESTIMATOR
    model = kind(pretrained_model=encoder, **sizes, **more)
    trainer = Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
    trainer.strategy.connect(model)
    path = folder / "checkpoints" / "model.ckpt"
    trainer.save_checkpoint(path, weights_only=True)
    hparams = yaml.safe_dump(dict(model.hparams))
    (folder / "hparams.yaml").write_text(hparams, encoding="utf-8")
    return path


if __name__ == "__main__":
    folder, name = Path(sys.argv[1]), sys.argv[2]
    samples = json.load(sys.stdin)
    encoder = folder / "encoder"
    write_encoder(encoder, [text for sample in samples for text in sample.values()])
    path = write_checkpoint(folder, name, str(encoder))
    if name == "CometKiwi":
        samples = [{"src": sample["src"], "mt": sample["mt"]} for sample in samples]
    prediction = load_from_checkpoint(str(path)).predict(samples, gpus=0, progress_bar=False)
    print(json.dumps({"scores": prediction["scores"], "score": prediction["system_score"]}))
