"""Articles + a model → an index → hits."""
