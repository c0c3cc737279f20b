"""More than one machine: PubMed's files are spread over a Ray cluster, and what a run costs is worked out on paper."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
