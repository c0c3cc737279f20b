"""Pairs → models, in two distillation steps."""
