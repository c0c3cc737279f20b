"""JSON of what may hold numpy's rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

JSON = "application/json"


def write_json(answer: Any) -> bytes:
    """Compact JSON."""
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY, default=np.ndarray.tolist)
