"""A trained model → the folder that people download."""
