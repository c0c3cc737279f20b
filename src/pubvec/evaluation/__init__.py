"""Evaluation: it measures systems on tasks, compares them, and says how fast they are."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
