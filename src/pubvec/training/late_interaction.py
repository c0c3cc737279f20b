"""Late interaction from a bi-encoder: a linear head gives every token a small vector, trained by MaxSim.

Contrastive over the batch (Khattab and Zaharia 2020, doi:10.1145/3397271.3401075); where a reranker has scored candidates,
with the KL divergence to its ranking beside it (ColBERTv2: Santhanam et al. 2022, arXiv 2112.01488).
"""

from __future__ import annotations

import string
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    MultiVectorEncoder,
    MultiVectorEncoderTrainer,
    MultiVectorEncoderTrainingArguments,
)
from sentence_transformers.base.losses.merged_forward import embed_columns_padded
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.multi_vector_encoder.scoring import colbert_scores
from sentence_transformers.util import all_gather, stack_padded_token_embeddings
from sentence_transformers.util.distributed import all_gather_padded
from tokenizers import AddedToken

from pubvec.encoder import count_positions, model_type_of, resolve
from pubvec.errors import ConfigError, InputError
from pubvec.files import Manifest, read_manifest
from pubvec.training.batches import LengthBatchSampler
from pubvec.training.config import ColbertConfig
from pubvec.training.contrastive import choose_temperature, unexplained_variance
from pubvec.training.data import read_queries, training_columns
from pubvec.training.loop import arguments, model_folder, open_model, quiet_libraries, save_model, train

PREFIXES = {"query": "[Q] ", "document": "[D] "}
"""The prefixes of PyLate. The markers become tokens of their own."""


def colbert(
    source: Path | str,
    output: Path | str,
    *,
    student: str,
    config: ColbertConfig | None = None,
    force: bool = False,
) -> Manifest:
    """Train late interaction on the logits of a `scores/` folder, or on the pairs of a `pairs/` folder alone.

    Args:
        source: folder made by `pubvec train scores` or `pubvec pairs`.
        output: model folder to make; loads in `sentence_transformers.MultiVectorEncoder`.
        student: bi-encoder to start from, or a late-interaction model, whose head is trained further.

    Raises:
        InputError: a folder is missing, a query has too few negatives, or the student is a cross-encoder.
        ConfigError: the student has a head of another width, or the loss has no term that ranks.
    """
    config = config or ColbertConfig()
    quiet_libraries()
    start = resolve(student)
    table, logits = read_queries(source, config)
    temperature = choose_temperature(logits, config)
    folder = model_folder(
        output,
        command="train colbert",
        config={"student": student, **vars(config)},
        inputs=[Path(source), start],
        force=force,
    )
    with folder as out:
        torch.manual_seed(config.seed)  # the embeddings of the prefixes' new tokens start at random
        model = open_model(partial(late_interaction, config=config), start, config)
        columns = training_columns(table, logits)
        prompts = {name: model.prompts["query" if name == "query" else "document"] for name in columns}
        prompts.pop("label", None)
        trainer = MultiVectorEncoderTrainer(
            model=model,
            args=MultiVectorEncoderTrainingArguments(
                **arguments(config, out, batch_sampler=LengthBatchSampler, prompts=prompts)
            ),
            train_dataset=Dataset.from_dict(columns),
            loss=ColbertLoss(model, config, temperature),
        )
        out.counts["teacher_temperature"] = temperature
        train(trainer, config, out, what="colbert steps")
        save_model(model, start, config, out)
    return read_manifest(output, made_by="train colbert")


def late_interaction(path: str, *, config: ColbertConfig, **options: Any) -> MultiVectorEncoder:
    """Open a model folder as late interaction: a bi-encoder gets a new head, prefixes and query expansion.

    Raises:
        InputError: the folder holds a cross-encoder, or a model without a mask token.
        ConfigError: it is late interaction already, of another width.
    """
    kind = model_type_of(Path(path))
    if kind == "cross-encoder":
        raise InputError(f"{path} is a cross-encoder: start from a bi-encoder, or from late interaction")
    model = MultiVectorEncoder(path, **options)
    if kind == "bi-encoder":
        model = _with_head(model[0], config)
    if model.get_embedding_dimension() != config.dim:
        raise ConfigError(
            f"dim is {config.dim}, and the head of {path} has {model.get_embedding_dimension()}: set dim to that"
        )
    n_most = min(config.max_seq_length, count_positions(Path(path)))
    query_length = min(config.query_length, n_most)
    model[0].document_length = min(config.document_length, n_most)
    model[0].query_length = None  # the length of the expansion is the limit
    model[0].query_expansion = {"strategy": "fixed", "attend": False, "length": query_length}
    return model


def _with_head(transformer: Any, config: ColbertConfig) -> MultiVectorEncoder:
    """The layers that sentence-transformers gives late interaction, over `transformer`."""
    tokenizer = transformer.tokenizer
    if tokenizer.mask_token is None:
        raise InputError("the model has no mask token, with which late interaction expands queries")
    markers = [AddedToken(prefix.strip(), normalized=False, special=True) for prefix in PREFIXES.values()]
    tokenizer.add_tokens(markers, special_tokens=True)
    n_tokens = max(len(tokenizer), transformer.model.get_input_embeddings().num_embeddings)
    transformer.model.resize_token_embeddings(n_tokens, mean_resizing=False)
    head = Dense(
        transformer.get_embedding_dimension(),
        config.dim,
        bias=False,
        activation_function=torch.nn.Identity(),
        module_input_name="token_embeddings",
    )
    # The head starts as the first dimensions, which a Matryoshka model has trained to be an embedding by themselves.
    torch.nn.init.eye_(head.linear.weight)
    layers = [
        transformer,
        head,
        MultiVectorMask(skiplist_words=list(string.punctuation)),
        Normalize(module_input_name="token_embeddings"),
    ]
    return MultiVectorEncoder(modules=layers, prompts=dict(PREFIXES), similarity_fn_name="maxsim")


class ColbertLoss(torch.nn.Module):  # type: ignore[misc]
    """sentence-transformers' contrastive loss and its KL loss, from one forward pass and one matrix of scores.

    Args:
        model: the student.
        config: weights of the terms.
        teacher_temperature: divides the logits; None: there are none, and no divergence.

    Raises:
        ConfigError: there are neither logits nor the contrastive term, so nothing ranks.
    """

    def __init__(
        self, model: MultiVectorEncoder, config: ColbertConfig, teacher_temperature: float | None
    ) -> None:
        super().__init__()
        if teacher_temperature is None and config.in_batch_weight is None:
            raise ConfigError("pairs/ has no logits: in_batch_weight must be set, nothing else ranks")
        self.model = model
        self._config = config
        self._teacher_temperature = teacher_temperature

    def forward(self, sentence_features: Any, labels: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Loss terms by name. *Shape:* `labels` (batch_size, n_candidates), logits, positive first."""
        config, terms = self._config, {}
        scores = self._score([dict(features) for features in sentence_features])
        labels = None if labels is None else all_gather(labels)
        own = torch.arange(len(scores), device=scores.device)
        if self._teacher_temperature is not None and labels is not None:
            student = torch.log_softmax(scores[own, own] / config.student_temperature, dim=-1)
            teacher = torch.log_softmax(labels / self._teacher_temperature, dim=-1)
            divergence = torch.nn.functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
            terms["divergence"] = config.divergence_weight * divergence
        if config.in_batch_weight is not None:
            candidates = config.in_batch_scale * scores.flatten(1)
            ranking = torch.nn.functional.cross_entropy(candidates, own * scores.shape[2])
            terms["in_batch"] = config.in_batch_weight * ranking
        if config.correlation_weight is not None and len(scores) > 1:
            terms["correlation"] = config.correlation_weight * unexplained_variance(scores[:, :, 0])
        return terms

    def _score(self, columns: list[dict[str, Any]]) -> torch.Tensor:
        """MaxSim of every query with every candidate of every query. *Shape:* (batch, batch, n_candidates)"""
        query = self.model(columns[0], task="query")
        columns_of_documents = zip(
            *embed_columns_padded(self.model, columns[1:], task_default="document"), strict=True
        )
        # Embeddings are gathered from all processes. Each process computes the loss of the whole batch, and
        # accelerate averages the gradients.
        vectors, masks = zip(
            *(all_gather_padded(*column, with_grad=True) for column in columns_of_documents), strict=True
        )
        queries, queries_mask = all_gather_padded(
            query["token_embeddings"], query["attention_mask"].bool(), with_grad=True
        )
        documents, documents_mask = stack_padded_token_embeddings(list(vectors), list(masks))
        scores = colbert_scores(queries, documents, queries_mask=queries_mask, documents_mask=documents_mask)
        return scores.reshape(len(queries), len(queries), -1)
