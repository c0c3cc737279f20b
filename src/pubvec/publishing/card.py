"""The model card: what a released model is, how it was made, how good it is, all from manifests and results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pubvec.encoder import ModelType
from pubvec.evaluation import LOWER_IS_BETTER, Figure, Result
from pubvec.publishing.usage import usage_of

_PIPELINE: Mapping[ModelType, str] = {
    "bi-encoder": "sentence-similarity",
    "late interaction": "sentence-similarity",
    "cross-encoder": "text-ranking",
}
_WHAT: Mapping[ModelType, str] = {
    "bi-encoder": "maps {texts} to vectors for semantic search, "
    "clustering and retrieval-augmented generation; the cosine of two vectors tells how much the texts have to do with "
    "each other.",
    "late interaction": "maps each token of a text to a vector; the score of a query and a document is the "
    "mean over the query's tokens of the best cosine in the document (MaxSim).",
    "cross-encoder": "reads a query and a text together and gives one logit of relevance; it reranks what a "
    "search has found.",
}
_SETTINGS = (
    "n_epochs",
    "batch_size",
    "learning_rate",
    "max_seq_length",
    "correlation_weight",
    "in_batch_scale",
)
_TEXTS_OF_PUBMED = "titles, questions, passages and abstracts of biomedical literature"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LIMIT_OF_PUBMED = """\
- Trained on English texts, most of them titles and abstracts: other languages are outside of what it has seen, and the
  language of patients is rare in it.
"""
_LIMIT_OF_OTHERS = """\
- Other kinds of texts, and other languages, than those of its training pairs are outside of what it has learned here.
"""
_LIMITS = """\
- Like every embedding of its kind it is weak at negation, at numbers and doses, and at names that are rare; two texts
  that say opposite things about the same subject are near to each other.
- A high score is no evidence that a statement is true, nor that an article is sound: retracted articles score too.
- Whatever bias the literature has, the model has. **It is not medical advice and no medical device**: do not base
  decisions about patients on it.
"""


@dataclass(frozen=True)
class Card:
    """All that a card says."""

    name: str
    kind: ModelType
    base_model: str | None
    """The model that training started from; None where the manifests do not say, or where it began at random."""
    n_parameters: int
    recipe: Sequence[Mapping[str, Any]]
    """Manifests of the stages, in their order."""
    results: Sequence[Result]
    baselines: Mapping[str, Sequence[Result]]
    """System → its results on the same tasks; systems without any are left out."""
    widths: Sequence[int]
    """Widths that vectors may be cut to, the full one first."""
    is_bert_hash: bool = False
    """Whether other libraries need pubvec's module of this architecture."""
    attribution: str | None = None
    """The owners of the training texts that are not PubMed's."""
    address: str | None = None
    """The hub repository or the folder that code opens the model by; None: the name."""
    license: str = "apache-2.0"
    """The license of the weights, as the hub abbreviates it."""
    pooling: str = "mean"
    """How a bi-encoder pools the vectors of its tokens."""
    max_seq_length: int = 512
    """The number of tokens that a bi-encoder reads."""
    language: Sequence[str] = ()
    """Languages that whoever releases the model names; without any, the data decides."""


def render(card: Card) -> str:
    """The card as Markdown with the hub's front matter."""
    address = card.address or card.name
    origin = f"started from {card.base_model}" if card.base_model else "trained as the recipe below says"
    usage = usage_of(
        card.kind,
        address,
        address,
        is_bert_hash=card.is_bert_hash,
        pooling=card.pooling,
        max_seq_length=card.max_seq_length,
    )
    what = _WHAT[card.kind].format(texts=_TEXTS_OF_PUBMED if _uses_pubmed(card) else "texts")
    n_parameters = f"{card.n_parameters / 1e6:.1f}M" if card.n_parameters >= 1e6 else f"{card.n_parameters:,}"
    limits = (_LIMIT_OF_PUBMED if _uses_pubmed(card) else _LIMIT_OF_OTHERS) + _LIMITS
    parts = [
        _front_matter(card),
        f"# {card.name}\n",
        f"{card.name} {what} It is a {card.kind} of {n_parameters} parameters, {origin} and "
        "made with [pubvec](https://github.com/pubvec/pubvec).\n",
        f"## Usage\n\n{usage}",
        f"## Evaluation\n\n{_evaluation(card)}",
        f"## Training\n\n{_training(card)}",
        f"## Limits\n\n{limits}",
        f"## License\n\n{_license(card)}",
    ]
    return "\n".join(parts)


def _license(card: Card) -> str:
    others = f" {card.attribution}" if card.attribution else ""
    return f"{card.license}. {_data_of(card)}{others} No text is contained in this folder.\n"


def _data_of(card: Card) -> str:
    """Say which texts the model was trained on, as far as the manifests of `pairs` prove it."""
    tables = _tables_of(card)
    sentences = []
    if _uses_pubmed(card):
        sentences.append(
            "The training texts are titles and abstracts from PubMed, a service of the U.S. National Library of Medicine, "
            "used under NLM's terms for its data; some abstracts are their publishers'. NLM does not endorse this model."
        )
    if tables:
        more = "Other training pairs" if sentences else "The training pairs"
        sentences.append(f"{more} come from tables of whoever trained it: {', '.join(tables)}.")
    if not sentences:
        sentences.append("The recipe does not say which texts the model was trained on.")
    return " ".join(sentences)


def _pair_stages(card: Card) -> list[Mapping[str, Any]]:
    return [stage for stage in card.recipe if stage["command"] == "pairs"]


def _first_input(stage: Mapping[str, Any]) -> str:
    """The name of what pairs were made from: an `articles/` folder, or the file of a table."""
    return next(iter(stage["inputs"]), "")


def _tables_of(card: Card) -> list[str]:
    return sorted({name for stage in _pair_stages(card) if (name := _first_input(stage)) and "." in name})


def _uses_pubmed(card: Card) -> bool:
    return any("." not in name for stage in _pair_stages(card) if (name := _first_input(stage)))


def _front_matter(card: Card) -> str:
    """Write the hub's fields as YAML, of which JSON is a subset."""
    is_on_hub = card.base_model is not None and _HUB_NAME.fullmatch(card.base_model)
    languages = list(card.language) or (["en"] if _uses_pubmed(card) else [])
    topics = ["biomedical", "PubMed", "medical"] if _uses_pubmed(card) else []
    fields: dict[str, Any] = {
        **({"language": languages[0] if len(languages) == 1 else languages} if languages else {}),
        "license": card.license,
        "library_name": "sentence-transformers",
        "pipeline_tag": _PIPELINE[card.kind],
        **({"base_model": card.base_model, "base_model_relation": "finetune"} if is_on_hub else {}),
        **({"datasets": ["ncbi/pubmed"]} if _uses_pubmed(card) else {}),
        "tags": ["sentence-transformers", *topics, card.kind],
        **({"widget": [_WIDGET]} if _PIPELINE[card.kind] == "sentence-similarity" else {}),
        "model-index": [
            {"name": card.name, "results": [_index_entry(card, result) for result in card.results]}
        ],
    }
    lines = (f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items())
    return f"---\n{''.join(lines)}---\n"


_WIDGET = {
    "source_sentence": "Metformin lowers blood glucose.",
    "sentences": ["A drug against type 2 diabetes.", "The fossils of Messel."],
}
"""The example that the hub's page of the model shows."""
_SIMILARITY: Mapping[ModelType, str] = {
    "bi-encoder": "cosine",
    "late interaction": "maxsim",
    "cross-encoder": "",
}
_METRICS = {
    "Pearson": "pearson",
    "Spearman": "spearman",
    "nDCG": "ndcg",
    "RR": "mrr",
    "R": "recall",
    "P": "precision",
    "AP": "map",
    "Accuracy": "accuracy",
    "AUC": "roc_auc",
    "Brier": "brier_score",
    "ECE": "ece",
}
"""Our names of measures, which are those of ir_measures, and the names of sentence-transformers and the hub."""
_CORRELATIONS = ("Pearson", "Spearman")
_PLAIN = ("AUC", "Brier", "ECE")
"""Measures that the hub names without a similarity."""


def _metric_type(measure: str, kind: ModelType) -> str:
    """The name that sentence-transformers' evaluators and the hub have for a measure: `cosine_ndcg@10`."""
    name, at, depth = measure.partition("@")
    word, _, detail = name.partition(" ")
    metric, similarity = _METRICS.get(word, word.lower()), _SIMILARITY[kind]
    if detail:  # such as `Pearson (calibrated)`, which nobody else has
        return f"{metric}_{detail.strip('()')}"
    if not similarity or word in _PLAIN:
        return f"{metric}{at}{depth}"
    return f"{metric}_{similarity}" if word in _CORRELATIONS else f"{similarity}_{metric}{at}{depth}"


def _index_entry(card: Card, result: Result) -> dict[str, Any]:
    return {
        "task": {"type": _PIPELINE[card.kind]},
        "dataset": {"name": result.task, "type": result.task},
        "metrics": [
            {"type": _metric_type(measure, card.kind), "name": measure, "value": round(figure.value, 4)}
            for measure, figure in result.figures.items()
        ],
    }


def _evaluation(card: Card) -> str:
    systems = {card.name: card.results, **{name: found for name, found in card.baselines.items() if found}}
    lines = [
        f"| task | measure | {' | '.join(systems)} |",
        f"|---|---|{'--:|' * len(systems)}",
        *_iter_lines(card, systems),
    ]
    table = "".join(f"{line}\n" for line in lines)
    window = card.results[0].max_seq_length
    return (
        f"In percent, with 95 % bootstrap intervals, all at {window} tokens unless the model has fewer; encoder: "
        f"{card.results[0].encoder}. Pearson is that of balanced pairs, one random pair for each true one, the mean over "
        f"five draws. In italics: measures that are better when lower.\n\n{table}\n"
        f"{_leakage(card)}"
    )


_STATES = {"held-out-": "held out", "probe-": "own"}
"""Tasks that need no screening, by how their names begin."""


def _leakage(card: Card) -> str:
    """The tasks whose texts the recipe kept out of training: only what the manifests of `pairs` prove is said."""
    screened = _screened([stage for stage in card.recipe if stage["command"] == "pairs"])
    by_state: dict[str, list[str]] = {"screened": [], "held out": [], "own": [], "open": []}
    for result in card.results:
        kind = next((state for start, state in _STATES.items() if result.task.startswith(start)), None)
        is_screened = set(result.identity.data) <= screened
        by_state[kind or ("screened" if is_screened else "open")].append(result.task)
    items, source = (
        ("rows", "table") if _tables_of(card) and not _uses_pubmed(card) else ("articles", "collection")
    )
    sentences = {
        "screened": "No training article shares a title, an abstract or twelve words in a row with the texts of",
        "held out": f"Of other {items} than the training pairs, drawn from the same {source}:",
        "own": "Of texts made up for pubvec, which no training has seen:",
        "open": "The recipe does not say whether training has seen the texts of",
    }
    return "".join(f"{sentences[state]} {', '.join(tasks)}.\n" for state, tasks in by_state.items() if tasks)


def _screened(stages: Sequence[Mapping[str, Any]]) -> set[str]:
    """Names of the files that every `pairs` folder excluded.

    Pairs of a table do not list the files of what they excluded; where it has the hash of what another stage excluded, they
    are those that the other one lists.
    """
    by_folder = [
        {PurePosixPath(source.rsplit(":", 1)[0]).name for source in stage["counts"].get("excluded") or {}}
        for stage in stages
    ]
    exclusions = [tuple(stage["inputs"].values())[1:] for stage in stages]
    names_of = {
        hashes: names for hashes, names in zip(exclusions, by_folder, strict=True) if names and hashes
    }
    found = [
        names or names_of.get(hashes, set()) for hashes, names in zip(exclusions, by_folder, strict=True)
    ]
    return set.intersection(*found) if found else set()


def _iter_lines(card: Card, systems: Mapping[str, Sequence[Result]]) -> Iterator[str]:
    for result in card.results:
        for measure in result.figures:
            cells = [_cell(found, result.task, measure) for found in systems.values()]
            name = f"*{measure}*" if measure in LOWER_IS_BETTER else measure
            yield f"| {result.task} | {name} | {' | '.join(cells)} |"


def _cell(results: Sequence[Result], task: str, measure: str) -> str:
    figures = [result.figures.get(measure) for result in results if result.task == task]
    return _percent(figures[0]) if figures and figures[0] is not None else "–"


def _percent(figure: Figure) -> str:
    low, high = figure.interval
    return f"{100 * figure.value:.2f} ({100 * low:.2f}–{100 * high:.2f})"


def _training(card: Card) -> str:
    lines = ["| stage | made from | examples | steps | settings | seconds |", "|---|---|--:|--:|---|--:|"]
    for stage in card.recipe:
        counts, config = stage["counts"], stage["config"]
        n_examples = counts.get("n_train_examples", counts.get("train", {}).get("n_pairs"))
        settings = [
            f"{name} {config[name]:g}" for name in _SETTINGS if isinstance(config.get(name), int | float)
        ]
        if "shares" in config:
            settings.append(f"shares {' : '.join(f'{share:g}' for share in config['shares'])}")
        lines.append(
            f"| `pubvec {stage['command']}` → {stage['folder']} | {', '.join(stage['inputs'])} | "
            f"{_count(n_examples)} | {_count(counts.get('n_train_steps'))} | {', '.join(settings) or '–'} | "
            f"{stage['seconds']:,.0f} |"
        )
    table = "".join(f"{line}\n" for line in lines)
    start = f"Training started from {card.base_model}." if card.base_model else ""
    if any(stage["command"] == "train pretrain" for stage in card.recipe):
        start = "Training started from random weights."
    return (
        f"{start} `pubvec.json` in this folder holds every setting, and the hashes of all inputs."
        f"\n\n{table}\n{_widths(card)}"
    )


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _widths(card: Card) -> str:
    if len(card.widths) < 2:
        return ""
    widths = ", ".join(map(str, card.widths[1:]))
    return f"The first {widths} dimensions of a vector, scaled to unit length, are embeddings too.\n"
