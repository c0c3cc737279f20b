"""`articles/` → training pairs without the evaluation sets."""
