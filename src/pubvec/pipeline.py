"""The main job: PubMed XML → articles → pairs → two distillation steps → evaluation → export → index → searches.

Every stage is the public function of a verb and writes its own folder, so the job resumes at the stage, and
within it at the shard or checkpoint, where it stopped.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pubvec.encoder import Encoder
from pubvec.engine import Engine
from pubvec.errors import CompleteError, ConfigError, PubvecError
from pubvec.evaluation import Table
from pubvec.files import json_ready, package_versions, write_json
from pubvec.machine import code_commit, describe_machine
from pubvec.presets import PRESETS, Preset
from pubvec.records import Hit

BEFORE, MINILM = "before", "all-MiniLM-L6-v2"
HELD_OUT = "held-out-title-abstract"
SEARCHES = (
    "Does aspirin lower the risk of a second stroke?",
    "gut microbiota and depression",
    "side effects of immune checkpoint inhibitors in lung cancer",
)


class Stage(NamedTuple):
    """What a stage cost in this run."""

    name: str
    seconds: float
    is_reused: bool
    """Whether an earlier run had finished it."""


class RunReport(NamedTuple):
    """What the main job found."""

    stages: tuple[Stage, ...]
    peak_bytes: int
    """Resident memory at its highest, of this process or of its largest child."""
    table: Table
    """Results of the student before training, after step 1, after step 2, and after its export to int8, beside those
    of MiniLM."""
    model: Path
    model_bytes: dict[str, int]
    """Size of each exported file."""
    abstracts_per_s: float
    """Held-out abstracts encoded with the exported int8 model, on the cores of this machine."""
    searches: tuple[tuple[str, tuple[Hit, ...]], ...]
    is_better: bool
    """Whether step 2's model beats its initialization on the held-out pairs."""
    verdict: str


def run(
    files: Sequence[str],
    output: Path | str,
    *,
    preset: Preset | str = "small",
    student: str = "minilm",
    teacher: str = "mpnet",
    data: Path | str | None = None,
    engine: Engine | None = None,
    on_stage: Callable[[Stage], None] = lambda _: None,
) -> RunReport:
    """Make an evaluated, exported and searchable model from PubMed XML.

    Args:
        files: PubMed XML files; without any, the first file of NLM's baseline is downloaded.
        output: folder for every stage's folder; run again to resume.
        preset: settings, or the name of a preset.
        student: model to start from; `teacher`: model to imitate.
        data: evaluation sets: kept out of the pairs, and evaluated on where the preset names their task.
        engine: what parses, computes the teacher's vectors and the reranker's scores, and encodes for the index;
            None: this machine.
        on_stage: called as each stage ends.

    Raises:
        ConfigError: the preset is not known.
        PubvecError: a stage failed; what it finished stays, and the next run goes on from there.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")
        preset = PRESETS[preset]
    job = _Job(Path(output), preset, student, teacher, Path(data) if data else None, engine, on_stage)
    job.make_pairs(files)
    job.train()
    job.export()
    job.evaluate()
    job.index()
    return job.report()


class _Job:
    """One run: the folders, and the stages in order."""

    def __init__(
        self,
        folder: Path,
        preset: Preset,
        student: str,
        teacher: str,
        data: Path | None,
        engine: Engine | None,
        on_stage: Callable[[Stage], None],
    ) -> None:
        self.folder = folder
        self.preset = preset
        self.student = student
        self.teacher = teacher
        self.data = data
        self.engine = engine
        self.stages: list[Stage] = []
        self._on_stage = on_stage

    def make_pairs(self, files: Sequence[str]) -> None:
        from pubvec.corpus import parse
        from pubvec.mining import pairs

        if not files:
            files = [str(self._download())]
        articles = self.folder / "articles"
        self._stage("parse", parse, files, articles, engine=self.engine)
        exclude = [self.data] if self.data else []
        self._stage(
            "pairs", pairs, articles, self.folder / "pairs", config=self.preset.pairs, exclude=exclude
        )

    def _download(self) -> Path:
        from pubvec.corpus import download

        kept = sorted((self.folder / "pubmed").glob("*.xml.gz"))
        if kept:
            return kept[0]
        self._stage("download", download, self.folder / "pubmed", first=1, last=1)
        return self._download()

    def train(self) -> None:
        from pubvec.training import align, contrast, reranker, scores

        folder, pairs, preset, student = self.folder, self.folder / "pairs", self.preset, self.student
        aligned, cross_encoder, scored = (folder / name for name in ("aligned", "reranker", "scores"))
        self._stage(
            "align",
            align,
            pairs,
            aligned,
            student=student,
            teacher=self.teacher,
            config=preset.align,
            engine=self.engine,
        )
        self._stage("reranker", reranker, pairs, cross_encoder, base=student, config=preset.reranker)
        self._stage(
            "scores",
            scores,
            pairs,
            scored,
            reranker=str(cross_encoder),
            config=preset.scores,
            engine=self.engine,
        )
        self._stage(
            "contrast", contrast, scored, folder / "small", student=str(aligned), config=preset.contrast
        )

    def export(self) -> None:
        from pubvec.conversion import export

        self._stage("export", export, self.folder / "small", texts=self.folder / "pairs" / "train.parquet")

    def evaluate(self) -> None:
        from pubvec.encoder import load
        from pubvec.evaluation import evaluate

        def measure() -> None:
            window = self.preset.evaluate.max_seq_length
            systems: dict[str, Any] = {} if self.student == "minilm" else {BEFORE: self.student}
            systems |= {
                MINILM: "minilm",
                "step-1": str(self.folder / "aligned"),
                "step-2": str(self.folder / "small"),
                "step-2-int8": load(self.folder / "small", precision="int8", max_seq_length=window),
            }
            for data, tasks in ((self.folder / "pairs", (HELD_OUT,)), (self.data, self.preset.tasks)):
                if data is not None:
                    evaluate(systems, tasks, data, self.folder / "results", self.preset.evaluate, force=True)

        self._stage("evaluate", measure)

    def index(self) -> None:
        from pubvec.retrieval import index

        folder = self.folder
        self._stage(
            "index",
            index,
            folder / "articles",
            str(folder / "small"),
            folder / "index",
            config=self.preset.index,
            engine=self.engine,
        )

    def report(self) -> RunReport:
        from pubvec.evaluation import compare
        from pubvec.retrieval import Searcher

        searcher = Searcher(self.folder / "index")
        table = compare(self.folder / "results")
        graphs = sorted((self.folder / "small" / "onnx").glob("*.onnx"))
        is_better, verdict = judge(table)
        report = RunReport(
            stages=tuple(self.stages),
            peak_bytes=peak_bytes(),
            table=table,
            model=self.folder / "small",
            model_bytes={path.name: path.stat().st_size for path in graphs},
            abstracts_per_s=self._speed(searcher.encoder),
            searches=tuple((query, tuple(searcher.search(query, 5))) for query in SEARCHES),
            is_better=is_better,
            verdict=verdict,
        )
        write_json(self.folder / "report.json", _without_texts(report))
        return report

    def _speed(self, encoder: Encoder) -> float:
        import pyarrow.parquet as pq

        texts = pq.read_table(self.folder / "pairs" / "dev.parquet")["positive"].to_pylist()[:256]
        started = time.perf_counter()
        encoder.encode(texts)
        return len(texts) / (time.perf_counter() - started)

    def _stage(self, name: str, make: Callable[..., Any], *arguments: Any, **settings: Any) -> None:
        started = time.perf_counter()
        is_reused = False
        try:
            make(*arguments, **settings)
        except CompleteError:
            is_reused = True
        except PubvecError as error:
            raise type(error)(f"stage {name}: {error}") from error
        self.stages.append(Stage(name, round(time.perf_counter() - started, 1), is_reused))
        self._on_stage(self.stages[-1])


def _without_texts(report: RunReport) -> dict[str, Any]:
    """Return the report as it is written to JSON: hits are PMIDs alone, because titles and abstracts belong to
    others.
    """
    searches = {
        query: [{"pmid": hit.pmid, "score": hit.score} for hit in hits] for query, hits in report.searches
    }
    stages = [stage._asdict() for stage in report.stages]
    extra = {"machine": describe_machine(), "versions": package_versions(), "commit": code_commit()}
    fields: dict[str, Any] = json_ready({**report._asdict(), "stages": stages, "searches": searches, **extra})
    return fields


def judge(table: Table) -> tuple[bool, str]:
    """Tell whether step 2 is better on the held-out pairs than what it started from, and return a sentence that says
    so.
    """
    place = [str(column) for column in table.columns].index(f"{HELD_OUT} Pearson")
    value = {row.system: 100 * (cell.value or 0.0) for row in table.rows if (cell := row.cells[place])}
    after = value["step-2"]
    rivals = {name: value[name] for name in (BEFORE, MINILM, "step-1") if name in value}
    is_better = all(after > rival for rival in rivals.values())
    word = "better" if is_better else "NOT better"
    beside = ", ".join(f"{name} {rival:.2f}" for name, rival in rivals.items())
    return is_better, f"step 2 is {word} on held-out title–abstract pairs: Pearson {after:.2f} ({beside})"


def peak_bytes() -> int:
    """Return the highest resident memory so far, of this process or of its largest child; 0 where it is not known."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak if sys.platform == "darwin" else peak * 1024
