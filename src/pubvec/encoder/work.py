"""How many operations a text costs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pubvec.encoder.base import require_int
from pubvec.encoder.models import read_json


class ModelShape(NamedTuple):
    """What decides the work of a transformer encoder; the tables of tokens and positions cost none."""

    n_layers: int
    dim: int
    inner_dim: int
    """Width of the feed-forward layers."""

    @classmethod
    def read(cls, folder: Path) -> ModelShape:
        """The shape of the model in `folder`.

        Raises:
            InputError: `config.json` is missing, or does not say.
        """
        path = folder / "config.json"
        config = read_json(path)
        return cls(
            *(
                require_int(config, key, path)
                for key in ("num_hidden_layers", "hidden_size", "intermediate_size")
            )
        )

    def count_flop(self, n_tokens: float, n_squared: float) -> float:
        """Operations of the matrix products: 2 · L · (4d² + 2df) a token, and 4 · L · d for each pair of tokens of a text.

        Args:
            n_tokens: of all texts together, padding not counted.
            n_squared: sum of the squares of each text's tokens.
        """
        per_token = 2 * self.n_layers * (4 * self.dim**2 + 2 * self.dim * self.inner_dim)
        return per_token * n_tokens + 4 * self.n_layers * self.dim * n_squared
