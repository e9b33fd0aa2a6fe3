"""Distillation, the data mix, fine-tuning and its trainer."""
