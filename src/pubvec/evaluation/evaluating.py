"""The verb `evaluate` measures models on tasks, and writes `results/SYSTEM/TASK.json` for each."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pubvec.encoder import BiEncoderScorer, ModelType, Scorer
from pubvec.errors import ConfigError, InputError, OutputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.models import LazyModel, ModelSource, name_model, name_models
from pubvec.evaluation.ranking import evaluate_retrieval
from pubvec.evaluation.results import Identity, Outcome, Result, read_result, result_path
from pubvec.evaluation.tasks import Task, find_task
from pubvec.evaluation.tasks.classification import evaluate_classification
from pubvec.evaluation.tasks.pairs import evaluate_pairs
from pubvec.evaluation.tasks.probes import evaluate_triples
from pubvec.evaluation.tasks.sets import LabeledSet, PairSet, RatedSet, RetrievalSet, TaskTexts, TripleSet
from pubvec.evaluation.tasks.similarity import evaluate_similarity
from pubvec.files import fingerprint, json_ready, package_versions
from pubvec.machine import code_commit, describe_machine
from pubvec.progress import track

_RERANKING = ("rerank_depth", "pair_rerank_depth")
_LATE = ("query_length", "query_expansion")
_UNUSED: Mapping[ModelType, Sequence[str]] = {
    "bi-encoder": (*_LATE, *_RERANKING),
    "late interaction": _RERANKING,
    "cross-encoder": _LATE,
}
"""Settings that a type of model does not have."""


@dataclass(frozen=True)
class Job:
    """A job is a task with its texts and the hashes of its files."""

    task: Task
    texts: TaskTexts
    data: Mapping[str, str]


def evaluate(
    models: Iterable[ModelSource] | Mapping[str, ModelSource],
    tasks: Sequence[str],
    data: Path | str,
    output: Path | str,
    config: EvaluateConfig | None = None,
    *,
    first_stage: ModelSource | None = None,
    trust_remote_code: Collection[str] = (),
    force: bool = False,
) -> list[Result]:
    """Evaluate each model on each task and write one JSON file for each.

    A result on disk of the same model, data and settings is kept: an evaluation that was killed continues where it
    stopped.

    Args:
        models: of any kind: folders, hub names, known short names, loaded encoders or scorers; a mapping names
            them, otherwise a published system keeps its name, a folder and a loaded model have their own.
        tasks: names for `tasks.find_task`.
        data: folder of the tasks' files.
        output: the `results/` folder.
        config: settings; None: the defaults. A setting that does not apply to a type of model is no part of its
            result.
        first_stage: model whose best documents a cross-encoder ranks anew; without one, it has no ranking measures
            on pairs, and no retrieval tasks.
        trust_remote_code: which models may run code that they bring along, written as in `models`.
        force: replace damaged results and those of other models, data or settings.

    Returns:
        Results in the order of `models`, then `tasks`.

    Raises:
        InputError: a file of a task is missing or damaged, or a model returned vectors that are not usable.
        ConfigError: a task or setting is not known, two models share a name, a cross-encoder has a retrieval
            task and no first stage, a model that is no bi-encoder has a classification task, or one that is trusted is
            not evaluated.
        OutputError: a result of the same name and other content exists, and not `force`.
    """
    named = name_models(models)
    jobs = read_jobs(tasks, data)
    if not named:
        raise ConfigError("evaluate needs at least one model and one task")
    check_trusted(trust_remote_code, map(str, [*named.values(), first_stage]))
    return evaluate_jobs(
        named,
        jobs,
        output,
        config,
        first_stage=first_stage,
        trust_remote_code=trust_remote_code,
        force=force,
    )


def evaluate_jobs(
    models: Mapping[str, ModelSource],
    jobs: Sequence[Job],
    output: Path | str,
    config: EvaluateConfig | None = None,
    *,
    first_stage: ModelSource | None = None,
    trust_remote_code: Collection[str] = (),
    force: bool = False,
) -> list[Result]:
    """Evaluate named models on tasks whose texts are read already; arguments and errors are those of `evaluate`."""
    config = config or EvaluateConfig()
    first = None
    if first_stage is not None:
        first = _lazy(name_model(first_stage), first_stage, config, trust_remote_code)
        if first.kind == "cross-encoder":
            raise ConfigError(f"{first.name} is a cross-encoder: the first stage must rank all documents")
    sources = [_lazy(name, source, config, trust_remote_code) for name, source in models.items()]
    check_possible({model.name: model.kind for model in sources}, jobs, has_first_stage=first is not None)
    evaluations = [(model, job) for model in sources for job in jobs]
    results = []
    for model, job in track(evaluations, "evaluations", len(evaluations)):
        results.append(_evaluate_or_keep(model, job, Path(output), config, first, force=force))
        if job is jobs[-1]:
            model.unload()
    return results


def check_trusted(trusted: Iterable[str], given: Iterable[str]) -> None:
    """Check that each model that may run its own code is one of those given.

    Raises:
        ConfigError: one is not.
    """
    if others := {*trusted} - {*given}:
        raise ConfigError(f"{min(others)} is trusted to run its own code, and is none of the models given")


def _lazy(name: str, source: ModelSource, config: EvaluateConfig, trusted: Collection[str]) -> LazyModel:
    return LazyModel(name, source, config, trust_remote_code=str(source) in trusted)


def read_jobs(tasks: Sequence[str], data: Path | str) -> list[Job]:
    """Read the texts of each task.

    Raises:
        InputError: a file of a task is missing or damaged.
        ConfigError: there is no task, one is not known, or two share a name.
    """
    jobs = [_read(find_task(name), Path(data)) for name in tasks]
    if not jobs:
        raise ConfigError("evaluate needs at least one model and one task")
    if len({job.task.name for job in jobs}) < len(jobs):
        raise ConfigError(f"two tasks share a name: {', '.join(job.task.name for job in jobs)}")
    return jobs


def _read(task: Task, data: Path) -> Job:
    texts = task.load(data)
    return Job(task, texts, {path.name: _hash(path, texts) for path in task.files(data)})


def _hash(path: Path, texts: TaskTexts) -> str:
    """Hash a file; or, for a folder of articles, which no two runs of `parse` make alike, what was drawn from it."""
    if path.is_dir() and isinstance(texts, RetrievalSet):
        return texts.hash_documents()
    return fingerprint(path)


def check_possible(kinds: Mapping[str, ModelType], jobs: Sequence[Job], *, has_first_stage: bool) -> None:
    """Check that each model can do each task, by its kind.

    Raises:
        ConfigError: a cross-encoder has to search, or a model without embeddings of texts to classify.
    """
    searches = [job.task.name for job in jobs if isinstance(job.texts, RetrievalSet)]
    rerankers = [name for name, kind in kinds.items() if kind == "cross-encoder"]
    if searches and rerankers and not has_first_stage:
        raise ConfigError(
            f"{rerankers[0]} is a cross-encoder, and {searches[0]} needs a ranking of all documents: "
            "give the model that finds what it ranks anew (--first-stage MODEL)"
        )
    probes = [job.task.name for job in jobs if isinstance(job.texts, LabeledSet)]
    others = [name for name, kind in kinds.items() if kind != "bi-encoder"]
    if probes and others:
        raise ConfigError(
            f"{others[0]} is a {kinds[others[0]]}, and {probes[0]} needs an embedding of a text: "
            "give bi-encoders, or leave this task out"
        )


def _evaluate_or_keep(
    model: LazyModel,
    job: Job,
    output: Path,
    config: EvaluateConfig,
    first: LazyModel | None,
    *,
    force: bool,
) -> Result:
    first = first if model.kind == "cross-encoder" else None
    settings = json_ready({"task": job.task, **_settings(model.kind, config)})
    if first is not None:
        of_late = {name: value for name, value in _settings(first.kind, config).items() if name in _LATE}
        chosen = {name: value for name, value in of_late.items() if value is not None}
        settings["first_stage"] = {"system": first.name, "model": first.hash, **chosen}
    identity = Identity(model=model.hash, data=job.data, config=settings)
    path = result_path(output, model.name, job.task.name)
    if path.exists():
        kept = _read_kept(path, force=force)
        if kept is not None and kept.identity == identity:
            return kept
        if not force:
            raise OutputError(
                f"{path} is of another model, data or settings: add --force to replace it, "
                "or choose another output or name"
            )
    result = _evaluate(model, job, config, first, identity)
    result.write(output)
    return result


def _settings(kind: ModelType, config: EvaluateConfig) -> dict[str, Any]:
    """Return the settings that decide a result of this type of model.

    A setting that a later version added counts only where it is used, so that results of older versions are kept.
    """
    unused = {*_UNUSED[kind]}
    if config.query_expansion is None:
        unused.add("query_expansion")
    return {name: value for name, value in json_ready(config).items() if name not in unused}


def _read_kept(path: Path, *, force: bool) -> Result | None:
    try:
        return read_result(path)
    except InputError:
        if force:
            return None
        raise


def _evaluate(
    model: LazyModel, job: Job, config: EvaluateConfig, first: LazyModel | None, identity: Identity
) -> Result:
    started_at = time.perf_counter()
    scorer = model.scorer
    outcome = _measure(scorer, job, config, first.scorer if first is not None else None)
    runner = scorer.encoder if isinstance(scorer, BiEncoderScorer) else scorer
    lengths = scorer.lengths
    return Result(
        system=model.name,
        task=job.task.name,
        **outcome._asdict(),
        seconds=round(time.perf_counter() - started_at, 3),
        dim=scorer.dim,
        max_seq_length=lengths.get("max_seq_length", lengths.get("document_length")),
        encoder=type(runner).__name__,
        identity=identity,
        machine=describe_machine(),
        versions=package_versions(),
        commit=code_commit(),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        kind=scorer.model_type,
        lengths=lengths,
        first_stage=first.name if first is not None else None,
        precision=model.precision,
    )


def _measure(scorer: Scorer, job: Job, config: EvaluateConfig, first: Scorer | None) -> Outcome:
    if isinstance(job.texts, PairSet):
        return evaluate_pairs(
            scorer,
            job.texts,
            seeds=config.seeds,
            n_resamples=config.n_resamples,
            first_stage=first,
            rerank_depth=config.pair_rerank_depth,
        )
    if isinstance(job.texts, RatedSet):
        return evaluate_similarity(scorer, job.texts, n_resamples=config.n_resamples)
    if isinstance(job.texts, TripleSet):
        return evaluate_triples(scorer, job.texts, n_resamples=config.n_resamples)
    if isinstance(job.texts, LabeledSet):
        if not isinstance(scorer, BiEncoderScorer):
            raise ConfigError(f"{scorer.name} has no embedding of a text")
        return evaluate_classification(scorer, job.texts, n_resamples=config.n_resamples)
    return evaluate_retrieval(
        scorer,
        job.texts,
        depth=config.depth,
        n_resamples=config.n_resamples,
        first_stage=first,
        rerank_depth=config.rerank_depth,
    )
