"""BERT Hash without remote code: BERT with a factorized token table, for models of a million parameters.

Each token has a few numbers of its own (16 in the nano model), and one linear map makes the hidden size of them, as ALBERT
does (Lan et al. 2020, arXiv 1909.11942). Despite its name nothing is hashed. All else is BERT, and the names of the
weights are meant to be those of the published checkpoints' own code.

With two layers of width 128 and 16 numbers a token there are 969,632 parameters, the pooler that BERT comes with among
them; the embeddings themselves do without it. The import of this module registers `model_type: bert_hash` with transformers.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModel, BertConfig, BertModel


class BertHashConfig(BertConfig):  # type: ignore[misc]
    """BERT's configuration and the width of the token table."""

    model_type = "bert_hash"

    projections: int = 16
    """Numbers that a token has of its own."""


class HashEmbedding(torch.nn.Module):  # type: ignore[misc]
    """*Shape:* token ids (…) → (…, hidden_size)"""

    def __init__(self, config: BertHashConfig) -> None:
        super().__init__()
        self.embeddings = torch.nn.Embedding(
            config.vocab_size, config.projections, padding_idx=config.pad_token_id
        )
        self.projections = torch.nn.Linear(config.projections, config.hidden_size)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Look up and widen."""
        widened: torch.Tensor = self.projections(self.embeddings(input_ids))
        return widened


class BertHashModel(BertModel):  # type: ignore[misc]
    """`BertModel` whose token table is a `HashEmbedding`."""

    config_class = BertHashConfig

    def __init__(self, config: BertHashConfig, add_pooling_layer: bool = True, **options: Any) -> None:
        super().__init__(config, add_pooling_layer, **options)
        self.embeddings.word_embeddings = HashEmbedding(config)
        self.post_init()


AutoConfig.register(BertHashConfig.model_type, BertHashConfig, exist_ok=True)
AutoModel.register(BertHashConfig, BertHashModel, exist_ok=True)
