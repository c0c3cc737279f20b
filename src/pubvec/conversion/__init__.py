"""A trained model → ONNX graphs, fp32 and int8."""

from __future__ import annotations

from pubvec.conversion.config import ExportConfig, ExportReport, Parity
from pubvec.conversion.export import export
from pubvec.conversion.parity import ParityError

__all__ = ["ExportConfig", "ExportReport", "Parity", "ParityError", "export"]
