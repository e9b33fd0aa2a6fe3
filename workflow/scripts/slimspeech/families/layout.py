"""Names of tensors that several families have alike, for the facts of the same names in Family."""

# An audio encoder, a projector, a decoder and an output head of its own.
ENCODER_AND_DECODER = {
    "stored": {
        "lm_head.": "language_model.lm_head.",
        "model.language_model.": "language_model.model.",
        "model.audio_tower.": "audio_tower.",
        "model.multi_modal_projector.": "multi_modal_projector.",
    },
    "parts": {
        "audio_tower.": "audio_tower",
        "multi_modal_projector.": "projector",
        "language_model.model.embed_tokens.": "embedding",
        "language_model.model.": "decoder",
        "language_model.lm_head.": "head",
    },
    "layers": "language_model.model.layers.",
    "embedding": "language_model.model.embed_tokens.weight",
    "modules": {
        "audio_tower": "model.audio_tower",
        "projector": "model.multi_modal_projector",
        "decoder": "model.language_model",
        "head": "lm_head",
    },
}
