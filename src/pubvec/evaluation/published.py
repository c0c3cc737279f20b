"""Evaluation of all systems of the published table that can be fetched."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pubvec.encoder import resolve
from pubvec.errors import InputError, MissingExtraError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import check_possible, check_trusted, evaluate_jobs, read_jobs
from pubvec.evaluation.models import ModelSource, name_models
from pubvec.evaluation.results import Result
from pubvec.evaluation.systems import SYSTEMS, System, short_name_of

logger = logging.getLogger(__name__)


class PublishedReport(NamedTuple):
    """The report says what was evaluated, and what could not be fetched."""

    results: list[Result]
    missing: dict[str, str]
    """This maps a system that could not be fetched to the reason."""

    @property
    def summary(self) -> str:
        """Say in one line how many systems were evaluated, and which could not be fetched."""
        n_had, missing = len(PUBLISHED) - len(self.missing), ", ".join(self.missing)
        return f"{n_had} of {len(PUBLISHED)} published systems evaluated" + (
            f", not to be had: {missing}" if missing else ""
        )


PUBLISHED: tuple[System, ...] = tuple(system for system in SYSTEMS if system.published)
"""The systems that have published figures."""


def evaluate_published(
    models: Sequence[ModelSource],
    tasks: Sequence[str],
    data: Path | str,
    output: Path | str,
    config: EvaluateConfig | None = None,
    *,
    first_stage: ModelSource | None = None,
    trust_remote_code: Collection[str] = (),
    force: bool = False,
) -> PublishedReport:
    """Evaluate `models`, and fetch and evaluate each published system; one that cannot be had is logged in a line.

    Arguments and errors are those of `evaluate`, but for published systems that are missing or cannot be loaded;
    `trust_remote_code` may have their hub names.
    """
    jobs = read_jobs(tasks, data)  # tasks are read first, because an error of theirs is no error of a system
    kinds = {system.name: system.kind for system in PUBLISHED}
    check_possible(kinds, jobs, has_first_stage=first_stage is not None)
    if isinstance(first_stage, str | Path):
        resolve(first_stage, with_code=str(first_stage) in trust_remote_code)
    own = [*map(str, models), str(first_stage)]
    check_trusted(trust_remote_code, [*own, *(system.hub_name for system in PUBLISHED)])

    stage = partial(
        evaluate_jobs,
        jobs=jobs,
        output=output,
        config=config,
        first_stage=first_stage,
        trust_remote_code=trust_remote_code,
        force=force,
    )

    def fetch_and_evaluate(system: System) -> list[Result]:
        return stage({system.name: _find(system, with_code=system.hub_name in trust_remote_code)})

    results = stage(name_models(models)) if models else []
    missing: dict[str, str] = {}
    for system in PUBLISHED:
        found, reason = _try(partial(fetch_and_evaluate, system))
        results += found
        if reason is not None:
            missing[system.name] = reason
            logger.warning("%s cannot be had: %s", system.name, reason)
    return PublishedReport(results, missing)


def _try(stage: Callable[[], list[Result]]) -> tuple[list[Result], str | None]:
    """Return the results, or why there are none."""
    try:
        return stage(), None
    except (InputError, MissingExtraError) as error:
        return [], " ".join(str(error).split())


def _find(system: System, *, with_code: bool) -> str:
    """Return the name that `resolve` takes: that of a package with its weights and a known hash, else the hub's."""
    short_name = short_name_of(system)
    if short_name is not None:
        try:
            resolve(short_name)
        except InputError as error:
            logger.info("%s", error)
        else:
            return short_name
    resolve(system.hub_name, with_code=with_code)
    return system.hub_name
