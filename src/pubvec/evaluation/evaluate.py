"""The verb `evaluate`: models × tasks → `results/SYSTEM/TASK.json`."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pubvec.encoder.base import Encoder
from pubvec.errors import ConfigError, InputError, OutputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.machine import code_commit, describe_machine
from pubvec.evaluation.models import LazyModel, ModelSource, name_models
from pubvec.evaluation.pairs import evaluate_pairs
from pubvec.evaluation.results import Identity, Outcome, Result, read_result, result_path
from pubvec.evaluation.retrieval import evaluate_retrieval
from pubvec.evaluation.tasks import PairSet, RetrievalSet, Task, find_task
from pubvec.files import fingerprint, json_ready, package_versions
from pubvec.progress import track


@dataclass(frozen=True)
class _Job:
    """A task with its texts and the hashes of its files."""

    task: Task
    texts: PairSet | RetrievalSet
    data: Mapping[str, str]


def evaluate(
    models: Iterable[ModelSource] | Mapping[str, ModelSource],
    tasks: Sequence[str],
    data: Path | str,
    output: Path | str,
    config: EvaluateConfig | None = None,
    *,
    force: bool = False,
) -> list[Result]:
    """Evaluate each model on each task and write one JSON file for each.

    A result on disk of the same model, data and settings is kept: a killed evaluation goes on where it was.

    Args:
        models: folders, hub names, known short names or loaded encoders; a mapping names them, otherwise
            a published system keeps its name, a folder and an encoder have their own.
        tasks: names for `tasks.find_task`.
        data: folder of the tasks' files.
        output: the `results/` folder.
        config: settings; None: the defaults.
        force: replace damaged results and those of other models, data or settings.

    Returns:
        Results in the order of `models`, then `tasks`.

    Raises:
        InputError: a file of a task is missing or damaged, or a model returned vectors that are not usable.
        ConfigError: a task or setting is not known, or two models share a name.
        OutputError: a result of the same name and other content exists, and not `force`.
    """
    config = config or EvaluateConfig()
    named = name_models(models)
    jobs = [_read(find_task(name), Path(data)) for name in tasks]
    if not named or not jobs:
        raise ConfigError("evaluate needs at least one model and one task")
    if len({job.task.name for job in jobs}) < len(jobs):
        raise ConfigError(f"two tasks share a name: {', '.join(job.task.name for job in jobs)}")
    evaluations = [(name, source, job) for name, source in named.items() for job in jobs]
    model: LazyModel | None = None
    results = []
    for name, source, job in track(evaluations, "evaluations", len(evaluations)):
        if model is None or model.name != name:
            model = LazyModel(name, source, config.backend, config.precision, config.max_seq_length)
        results.append(_evaluate_or_keep(model, job, Path(output), config, force=force))
    return results


def _read(task: Task, data: Path) -> _Job:
    texts = task.load(data)
    return _Job(task, texts, {path.name: fingerprint(path) for path in task.files(data)})


def _evaluate_or_keep(
    model: LazyModel, job: _Job, output: Path, config: EvaluateConfig, *, force: bool
) -> Result:
    settings = json_ready({"task": job.task, **json_ready(config)})
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
    result = _evaluate(model.name, model.encoder, job, config, identity)
    result.write(output)
    return result


def _read_kept(path: Path, *, force: bool) -> Result | None:
    try:
        return read_result(path)
    except InputError:
        if force:
            return None
        raise


def _evaluate(system: str, encoder: Encoder, job: _Job, config: EvaluateConfig, identity: Identity) -> Result:
    started_at = time.perf_counter()
    outcome = _measure(encoder, job, config)
    return Result(
        system=system,
        task=job.task.name,
        **outcome._asdict(),
        seconds=round(time.perf_counter() - started_at, 3),
        dim=encoder.dim,
        max_seq_length=encoder.max_seq_length,
        encoder=type(encoder).__name__,
        identity=identity,
        machine=describe_machine(),
        versions=package_versions(),
        commit=code_commit(),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )


def _measure(encoder: Encoder, job: _Job, config: EvaluateConfig) -> Outcome:
    if isinstance(job.texts, PairSet):
        return evaluate_pairs(encoder, job.texts, seeds=config.seeds, n_resamples=config.n_resamples)
    return evaluate_retrieval(encoder, job.texts, depth=config.depth, n_resamples=config.n_resamples)
