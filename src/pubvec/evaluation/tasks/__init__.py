"""Evaluation tasks: each kind reads its files into texts, and says how a system is measured on them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
