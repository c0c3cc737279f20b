"""Spreads work over a Ray cluster, and estimates what a run costs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
