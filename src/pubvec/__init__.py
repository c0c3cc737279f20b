"""Small sentence-embedding models for biomedical literature, and a PubMed search on an ordinary CPU.

`load` opens a model, `Searcher` an index. Every verb of the command line is a function of the same name. Names are
imported on first use, so that `import pubvec` stays light.
"""

import os

import lazy_loader

# onnxruntime sends telemetry from version 1.32 on. It reads this variable when it is imported, so it is set before anything
# of this package can import it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
