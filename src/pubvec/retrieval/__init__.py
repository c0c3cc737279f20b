"""Retrieval: articles and a model make an index, and a query finds its hits in it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
