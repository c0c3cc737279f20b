"""A trained model → ONNX graphs, fp32 and int8."""

from __future__ import annotations

from pubvec.export.config import ExportConfig, ExportReport, Parity
from pubvec.export.export import export
from pubvec.export.parity import ParityError

__all__ = ["ExportConfig", "ExportReport", "Parity", "ParityError", "export"]
