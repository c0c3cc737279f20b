"""A language model from scratch: masked tokens (Devlin et al. 2019, arXiv 1810.04805) over a vocabulary of the field."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import (
    BertConfig,
    BertModel,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from pubvec.encoder import BertHashModel, make_compatible
from pubvec.errors import InputError
from pubvec.files import Manifest, OutputFolder, read_manifest, write_json
from pubvec.progress import report
from pubvec.training.config import PretrainConfig
from pubvec.training.data import distinct_texts, read_pairs
from pubvec.training.loop import arguments, model_folder, processes, quiet_libraries, train, uses_bfloat16
from pubvec.training.precision import (
    attention_kernel,
    keep_freed_memory,
    keep_hidden_states_narrow,
    set_dropout,
)
from pubvec.training.vocabulary import count_tokens, learn_vocabulary, make_tokenizer, open_tokenizer

_VOCABULARY = "vocabulary.json"
_N_COUNTED = 1000
_N_TOGETHER = 10_000
"""Number of texts that are tokenized at once. Token ids as Python's integers take thirty times the memory of the
array."""
_IGNORED = -100
"""Label of a token that is not to be predicted."""


def pretrain(
    pairs: Path | str,
    output: Path | str,
    *,
    tokenizer: str | None = None,
    compared_with: str = "minilm",
    config: PretrainConfig | None = None,
    force: bool = False,
) -> Manifest:
    """Train an encoder from random weights to predict masked tokens of the texts in `pairs`.

    Args:
        pairs: folder made by `pubvec pairs`; `pairs` has done the leakage control. Each text counts once.
        output: model folder to make: encoder and mean pooling, for `train align` and `train contrast` to start from.
            The head that predicts tokens is not kept.
        tokenizer: model whose tokenizer to take; None: learn a vocabulary on the texts.
        compared_with: model whose tokenizer the tokens of a text are compared with.

    Raises:
        InputError: a folder is missing, or the texts do not fill a batch of blocks.
    """
    config = config or PretrainConfig()
    quiet_libraries()
    keep_freed_memory()
    folder = model_folder(
        output,
        command="train pretrain",
        config={"tokenizer": tokenizer, "compared_with": compared_with, **vars(config)},
        inputs=[Path(pairs)],
        force=force,
    )
    with folder as out:
        texts = distinct_texts(read_pairs(pairs, config))
        held_out = pq.read_table(Path(pairs) / "dev.parquet", columns=["positive"])["positive"].to_pylist()
        words = _tokenizer(tokenizer, texts, out, config)
        # This comes before training, which may take days, because the other model may be missing.
        out.counts["tokens_per_text"] = {
            "own": count_tokens(words, held_out[:_N_COUNTED]),
            compared_with: count_tokens(open_tokenizer(compared_with), held_out[:_N_COUNTED]),
        }
        blocks, dev_blocks = (make_blocks(words, part, config.max_seq_length) for part in (texts, held_out))
        if not len(blocks) or not len(dev_blocks):
            raise InputError(
                f"{pairs} does not fill one block of {config.max_seq_length} tokens: lower max_seq_length"
            )
        _fit(words, blocks, dev_blocks, config, out)
    return read_manifest(output, made_by="train pretrain")


def _fit(
    words: Any,
    blocks: np.ndarray[Any, np.dtype[np.int32]],
    dev_blocks: np.ndarray[Any, np.dtype[np.int32]],
    config: PretrainConfig,
    out: OutputFolder,
) -> None:
    """Train a new encoder on `blocks`, measure it on `dev_blocks` before and after, and write it to `out`."""
    torch.manual_seed(config.seed)
    model = MaskedLanguageModel(_encoder(config, len(words)), config)
    set_dropout(model, config.dropout)
    if uses_bfloat16(config):
        keep_hidden_states_narrow(model)
    masking = Masking(words, config)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**arguments(config, out, remove_unused_columns=False)),
        train_dataset=Dataset.from_dict({"input_ids": blocks, "row": np.arange(len(blocks))}),
        data_collator=masking,
        callbacks=[_CountEpochs(masking)],
    )
    dev = masking(
        [
            {"input_ids": block.tolist(), "row": row}
            for row, block in enumerate(dev_blocks[: config.n_dev_blocks])
        ]
    )
    out.counts["accuracy_first"] = model.measure_accuracy(dev)
    train(trainer, config, out, what="pretrain steps")
    out.counts["accuracy_last"] = model.measure_accuracy(dev)
    out.counts["n_parameters"] = sum(parameter.numel() for parameter in model.encoder.parameters())
    out.counts["n_train_tokens"] = int(blocks.size)
    out.counts["vocab_size"] = len(words)
    _save(model, words, config, out)


class Masking:
    """Masks the blocks of a batch. The masked tokens of a block depend on its row, the epoch and the seed alone.

    A resumed training draws a batch anew that the killed one had drawn ahead, and several processes share a batch, so no
    generator may be shared.
    """

    def __init__(self, tokenizer: Any, config: PretrainConfig) -> None:
        self._collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=config.mask_fraction)
        self._seed = config.seed
        self.epoch = 0

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Rows with `input_ids` and `row` → `input_ids` and `labels`. *Shape:* (n_rows, length)"""
        masked = [self._mask(row) for row in rows]
        return {name: torch.cat([row[name] for row in masked]) for name in ("input_ids", "labels")}

    def _mask(self, row: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
        key = repr((self._seed, self.epoch, int(row["row"]))).encode()
        self._collator.generator = torch.Generator().manual_seed(zlib.crc32(key))
        masked: Mapping[str, torch.Tensor] = self._collator([{"input_ids": row["input_ids"]}])
        return masked


class _CountEpochs(TrainerCallback):  # type: ignore[misc]
    """Tells the masking which epoch begins."""

    def __init__(self, masking: Masking) -> None:
        self._masking = masking

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._masking.epoch = int(state.epoch)


class MaskedLanguageModel(torch.nn.Module):  # type: ignore[misc]
    """An encoder and the head that predicts masked tokens, over the masked ones alone.

    The head of BERT shares the token table. The head of BERT Hash cannot, because a table with 16 numbers a token
    spans only 16 dimensions. It is a layer of its own and is not kept.
    """

    def __init__(self, encoder: Any, config: PretrainConfig) -> None:
        super().__init__()
        self.encoder = encoder
        width, n_tokens = config.hidden_size, encoder.config.vocab_size
        self.transform = torch.nn.Sequential(
            torch.nn.Linear(width, width), torch.nn.GELU(), torch.nn.LayerNorm(width)
        )
        self.table = None
        if config.architecture == "bert_hash":
            self.table = torch.nn.Linear(width, n_tokens, bias=False)
        self.bias = torch.nn.Parameter(torch.zeros(n_tokens))

    def forward(
        self, input_ids: torch.Tensor, labels: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Loss and logits of the masked tokens. *Shape:* `input_ids`, `labels`: (n, length)"""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        is_masked = labels != _IGNORED
        weight = self.encoder.embeddings.word_embeddings.weight if self.table is None else self.table.weight
        logits = torch.nn.functional.linear(self.transform(states[is_masked]), weight, self.bias).float()
        return {"loss": torch.nn.functional.cross_entropy(logits, labels[is_masked]), "logits": logits}

    def measure_accuracy(self, batch: dict[str, torch.Tensor]) -> float:
        """Share of masked tokens whose likeliest candidate is the right one."""
        self.eval()
        device = self.bias.device
        n_right = n_masked = 0
        with torch.inference_mode():
            for input_ids, labels in zip(
                batch["input_ids"].split(32), batch["labels"].split(32), strict=True
            ):
                best = self(input_ids.to(device), labels.to(device))["logits"].argmax(dim=1).cpu()
                right = labels[labels != _IGNORED]
                n_right, n_masked = n_right + int((best == right).sum()), n_masked + len(right)
        return n_right / max(1, n_masked)


def make_blocks(tokenizer: Any, texts: list[str], length: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Texts one after the other, each ended by the separator, cut into blocks that begin with the classifier token.

    No block needs padding; what does not fill the last one is left out.

    *Shape:* (n_blocks, length)
    """
    parts = [np.zeros(0, np.int32)]
    for start in range(0, len(texts), _N_TOGETHER):
        ids = tokenizer(
            texts[start : start + _N_TOGETHER], add_special_tokens=False, truncation=False, verbose=False
        )["input_ids"]
        tokens = (token for row in ids for token in (*row, tokenizer.sep_token_id))
        parts.append(np.fromiter(tokens, dtype=np.int32))
        report("texts tokenized", start + len(ids), len(texts))
    stream = np.concatenate(parts)
    n_blocks = len(stream) // (length - 1)
    blocks = np.full((n_blocks, length), tokenizer.cls_token_id, np.int32)
    blocks[:, 1:] = stream[: n_blocks * (length - 1)].reshape(n_blocks, length - 1)
    return blocks


def _tokenizer(name: str | None, texts: list[str], out: OutputFolder, config: PretrainConfig) -> Any:
    """The tokenizer of `name`, or one whose vocabulary is learned once: a resumed training has the same."""
    if name is not None:
        return open_tokenizer(name)
    with processes().main_process_first():
        if not out.has(_VOCABULARY):
            write_json(out / _VOCABULARY, learn_vocabulary(texts, config.vocab_size))
    return make_tokenizer(json.loads((out / _VOCABULARY).read_text(encoding="utf-8")), config.n_positions)


def _encoder(config: PretrainConfig, n_tokens: int) -> Any:
    sizes = {
        "vocab_size": n_tokens,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.n_positions,
        **attention_kernel(),
    }
    if config.architecture == "bert":
        return BertModel(BertConfig(**sizes), add_pooling_layer=False)
    return BertHashModel(
        BertHashModel.config_class(projections=config.projections, **sizes), add_pooling_layer=False
    )


def _save(model: MaskedLanguageModel, tokenizer: Any, config: PretrainConfig, out: OutputFolder) -> None:
    """Write encoder, tokenizer and mean pooling in sentence-transformers layout."""
    if not processes().is_main_process:
        return
    model.encoder.save_pretrained(out.path)
    tokenizer.save_pretrained(out.path)
    window = min(config.saved_max_seq_length or config.n_positions, config.n_positions)
    modules = [Transformer(str(out.path), max_seq_length=window), Pooling(config.hidden_size, "mean")]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(out.path), create_model_card=False)
    make_compatible(out.path)
    (out / _VOCABULARY).unlink(missing_ok=True)
