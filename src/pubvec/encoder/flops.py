"""The number of floating-point operations that a text costs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pubvec.encoder.model_folder import read_object, require_int


class ModelShape(NamedTuple):
    """The sizes of a transformer encoder that decide its FLOPs; the tables of tokens and positions cost none."""

    n_layers: int
    dim: int
    inner_dim: int
    """The width of the feed-forward layers."""

    @classmethod
    def read(cls, folder: Path) -> ModelShape:
        """Read the shape of the model in `folder`.

        Raises:
            InputError: `config.json` is missing, or does not say.
        """
        path = folder / "config.json"
        config = read_object(path)
        keys = ("num_hidden_layers", "hidden_size", "intermediate_size")
        return cls(*(require_int(config, key, path) for key in keys))

    def count_flops(self, n_tokens: float, n_squared: float) -> float:
        """Count the FLOPs of the matrix products: 2 · L · (4d² + 2df) a token, and 4 · L · d a pair of tokens of a text.

        Args:
            n_tokens: the number of tokens of all texts together, padding not counted.
            n_squared: the sum of the squares of each text's number of tokens.
        """
        per_token = 2 * self.n_layers * (4 * self.dim**2 + 2 * self.dim * self.inner_dim)
        return per_token * n_tokens + 4 * self.n_layers * self.dim * n_squared
