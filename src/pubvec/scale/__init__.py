"""Beyond one machine: PubMed's files over a Ray cluster, and what a run costs, on paper."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
