"""Whether the graphs give the vectors of the model."""

from __future__ import annotations

import numpy as np

from pubvec.conversion.config import ExportConfig, Parity
from pubvec.encoder import FloatArray
from pubvec.errors import PubvecError

_SENTENCES = (
    "Metformin lowered fasting plasma glucose in adults with newly diagnosed type 2 diabetes.",
    "BACKGROUND: Hospital-acquired infection with resistant bacteria is a growing cause of death.",
    "We sequenced the exomes of 214 patients and found a missense variant (p.Arg117His) in nine.",
    "Mice lacking the receptor showed impaired spatial memory and reduced synaptic plasticity (P < 0.01).",
    "Serum IL-6 and TNF-alpha at admission predicted 28-day mortality in patients with sepsis.",
    "METHODS: A double-blind, placebo-controlled, randomized trial at 12 centers over 4.2 years.",
    "The crystal structure of the enzyme, solved at 2.1 angstrom, shows a zinc ion in the active site.",
    "CONCLUSIONS: Early mobilization shortens the hospital stay after hip fracture in the elderly.",
)
_SINGLE_TEXTS = ("", "Sepsis", "aspirin and stroke prevention", "Does vitamin D prevent depression?")


class ParityError(PubvecError):
    """The exported graph does not give the vectors of the model; nothing was written."""


def check_fp32(by_fp32: FloatArray, by_torch: FloatArray, config: ExportConfig) -> Parity:
    """Compare vectors of the fp32 graph with those of the model in torch. *Shape:* both (n, dim)

    Raises:
        ParityError: it is farther away than `config` allows.
    """
    near = compare(by_fp32, by_torch)
    if not (near.max_difference <= config.max_difference and near.min_cosine >= config.min_cosine_fp32):
        raise ParityError(
            f"the fp32 graph differs from torch by {near.max_difference:.2g} (at most "
            f"{config.max_difference:.2g} is allowed), cosine {near.min_cosine:.6f} (at least "
            f"{config.min_cosine_fp32}): this is no encoder that the export knows"
        )
    return near


def check_int8(by_int8: FloatArray, by_fp32: FloatArray, config: ExportConfig) -> Parity:
    """Compare vectors of the int8 graph with those of the fp32 graph. *Shape:* both (n, dim)

    Raises:
        ParityError: it is farther away than `config` allows.
    """
    near = compare(by_int8, by_fp32)
    if not near.mean_cosine >= config.min_mean_cosine_int8:
        raise ParityError(
            f"the int8 graph's mean cosine to fp32 is {near.mean_cosine:.4f}, at least "
            f"{config.min_mean_cosine_int8} is required: give more texts to calibrate on, or make fp32 only"
        )
    return near


def compare(vectors: FloatArray, reference: FloatArray) -> Parity:
    """Compare vectors row by row. *Shape:* both (n, dim)"""
    lengths = np.linalg.norm(reference, axis=1)
    cosines = (vectors * reference).sum(axis=1) / (np.linalg.norm(vectors, axis=1) * lengths)
    return Parity(
        max_difference=float((np.abs(vectors - reference) / lengths[:, None]).max()),
        min_cosine=float(cosines.min()),
        mean_cosine=float(cosines.mean()),
    )


def parity_texts(max_seq_length: int) -> list[str]:
    """Made-up texts, short, long and empty, none longer than `max_seq_length` tokens by much."""
    passages = [
        " ".join(_SENTENCES[(start + i) % len(_SENTENCES)] for i in range(n_sentences))
        for n_sentences in (1, 2, 4, 8, 16)
        for start in range(len(_SENTENCES))
    ]
    n_words = max(8, max_seq_length // 2)
    return [*_SINGLE_TEXTS, *(" ".join(passage.split()[:n_words]) for passage in passages)]
