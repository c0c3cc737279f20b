"""The figures of `docs/scale.md` and `docs/reliability.md`, from the JSON files in `results/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ALL_OF_PUBMED = 38_000_000
PROMISES = (
    (
        "A folder is absent, resumable or whole; nothing half-written is ever read",
        "`tests/test_files.py`, `tests/retrieval/test_faults.py`, `benchmarks/kills.py`",
        "kills",
    ),
    (
        "A stage that was killed ends, repeated, with the bytes of one that was not",
        "`tests/corpus/test_parse.py`, `tests/encoder/test_vectors.py`, `tests/training/test_resume.py`, "
        "`benchmarks/kills.py`",
        "ends",
    ),
    (
        "A full or failing disk is one clear line, and the old state stays",
        "`tests/retrieval/test_faults.py`",
        "writes",
    ),
    (
        "A worker killed, a node lost, a task done twice: the same bytes",
        "`tests/test_engine.py`, `tests/scale/test_ray_engine.py`, `tests/scale/test_doubled.py`",
        None,
    ),
    (
        "Clocks decide nothing",
        "`tests/scale/test_doubled.py`, `tests/benchmarks/test_chaos.py`, `benchmarks/chaos.py`",
        None,
    ),
    (
        "Hostile or damaged XML is refused, or skipped where asked, in bounded memory",
        "`tests/corpus/test_bad_input.py`, `tests/corpus/test_inflate.py`, `benchmarks/fuzz_xml.py`",
        "fuzz",
    ),
    (
        "A downloaded file is whole or absent, and no update is passed over",
        "`tests/corpus/test_download.py`",
        None,
    ),
    ("Any number of training processes have one loss curve", "`tests/training/test_resume.py`", None),
    (
        "A million articles on two cores, in time and memory that are linear or less",
        "`benchmarks/million.py`",
        "million",
    ),
    (
        "Searches keep the version that they opened; an update is seen whole or not at all",
        "`tests/retrieval/test_update.py`, `tests/retrieval/test_faults.py`",
        "faults",
    ),
    (
        "Whatever is done to an index at once, every answer is that of one whole version, and nothing beside it changes",
        "`tests/benchmarks/test_chaos.py`, `tests/retrieval/test_readers.py`, `benchmarks/chaos.py`",
        "chaos",
    ),
    (
        "An index that cannot be written is searched, served and verified; what may not be read is not called damaged",
        "`tests/retrieval/test_readers.py`",
        None,
    ),
    (
        "Of two writers of one output one works, and the other is refused by name",
        "`tests/test_files.py`, `tests/retrieval/test_readers.py`",
        None,
    ),
    ("A filtered search gives k hits, or all that there are", "`tests/retrieval/test_query.py`", None),
    (
        "The server answers, or refuses with a reason; nothing is lost at its end",
        "`tests/server/test_process.py`",
        None,
    ),
)


def scale_blocks(results: Path) -> dict[str, str]:
    """Each block of `docs/scale.md` by its name."""
    record = _read(results, "scale")
    return {
        "workers": _workers(_read(results, "workers")),
        "plan": _plan(results),
        "scale": _scale(record),
        "growth": _growth(record, _read(results, "index-kinds")),
    }


def reliability_blocks(results: Path) -> dict[str, str]:
    """Each block of `docs/reliability.md` by its name."""
    kills, fuzz, faults, chaos = (_read(results, name) for name in ("kills", "fuzz", "faults", "chaos"))
    stages = kills["stages"].values()
    at_random = sum(sum(job["random"].values()) for job in faults["jobs"].values())
    figures = {
        "chaos": f"{sum(chaos['outcomes']['states seen'].values()):,} answers in {chaos['seconds'] / 60:.0f} minutes",
        "kills": f"{sum(stage.get('kills', 0) for stage in stages)} kills at random moments, none seen half-written",
        "ends": f"{sum(stage.get('ends', 0) for stage in stages)} of as many outputs",
        "writes": f"{sum(stage.get('writes', 0) for stage in stages)} writes of four stages, "
        f"{sum(sum(job['writes'].values()) for job in faults['jobs'].values())} of jobs on an index",
        "fuzz": f"{fuzz['n_mutants']:,} mutants, {fuzz['n_broke']} broke it",
        "million": f"{_read(results, 'scale')['points'][-1]['n_articles']:,} articles",
        "faults": f"{at_random} kills at random, one at every lasting call",
    }
    rows = [f"| {what} | {test} | {figures.get(figure or '', '')} |" for what, test, figure in PROMISES]
    head = (
        f"Killed again and again, repeated, and let end; or the disk full from the n-th write on, for every n "
        f"(`benchmarks/kills.py`, {_machine(kills)}):\n\n"
    )
    return {
        "promises": "\n".join(rows) + "\n",
        "chaos": f"`benchmarks/chaos.py` on {_machine(chaos)}:\n\n{chaos['markdown']}\n",
        "kills": f"{head}{kills['markdown']}\n",
        "fuzz": (
            f"{fuzz['n_mutants']:,} mutants in {fuzz['minutes']:g} minutes, guided by the coverage of the reader's "
            f"code "
            f"(`benchmarks/fuzz_xml.py`, Atheris), from {fuzz['n_seeds']} seeds cut from genuine files of many years: "
            f"{fuzz['n_broke']} crashes, hangs over {fuzz['limits']['timeout_s']} s or breaches of "
            f"{fuzz['limits']['rss_mb']} MB; highest memory {fuzz['peak_rss_mb']} MB, "
            f"slowest mutant under {fuzz['slowest_s'] + 1} s; "
            f"{fuzz['n_kept']:,} of them reached something new; {fuzz['n_edges_last']} edges were covered at the end.\n"
        ),
    }


def _workers(record: dict[str, Any]) -> str:
    from statistics import median

    names = list(next(iter(record["seconds"].values())))
    lines = [f"| | {' | '.join(names)} | 1 worker ÷ 2 workers |", "|---|" + "--:|" * (len(names) + 1)]
    for stage, times in record["seconds"].items():
        shown = " | ".join(f"{median(times[name]):.1f} s" for name in names)
        lines.append(f"| {stage} | {shown} | {record['ratios'][stage]['speedup']:.2f} |")
    n_rounds, n_encoded = (len(times[names[0]]) for times in record["seconds"].values())
    overhead = {
        stage: [ratios[f"{name} / 2 workers"] for name in names if name.startswith("ray")]
        for stage, ratios in record["ratios"].items()
    }
    ray = "; ".join(
        f"{stage} {with_start:.2f} and {there:.2f}" for stage, (with_start, there) in overhead.items()
    )
    return (
        f"Whole processes, start included, one thread a worker: {record['n_files']} XML files parsed, "
        f"{record['n_articles']:,} whole articles encoded; medians of {n_rounds} and {n_encoded} rounds in turn, on "
        f"{_machine(record)}:\n\n" + "\n".join(lines) + "\n\n"
        "Times as long on Ray as in the local pool, with a cluster that starts for the command, "
        f"and with one that is there: {ray}. "
        "Ray starts processes of its own for scheduling, and each actor imports the libraries anew; "
        "it pays on more than one machine.\n"
    )


def _plan(results: Path) -> str:
    from pubvec.encoder import ModelShape, resolve
    from pubvec.scale import Constants, plan

    constants = Constants.read(results / "bench-plan.json")
    found = plan(ALL_OF_PUBMED, constants, ModelShape.read(resolve("pubvec-small")))
    return (
        f"Constants of {_machine(_read(results, 'bench-plan'))}, {constants.tokens:.0f} tokens an article, "
        f"{constants.flop_per_core_s / 1e9:.0f} GFLOP/s a core. Every citation is taken to be as long "
        f"as those of the shared files, most of which have an abstract: an upper bound.\n\n{found.to_markdown()}"
    )


def _scale(record: dict[str, Any]) -> str:
    stages = ("parse", "encode", "index")
    lines = [
        "| articles | parse | encode | index | all | planned | planned ÷ measured "
        "| one search, with start | largest process "
        "| articles/ | vectors/ | index/ |",
        "|--:|" + "--:|" * 11,
    ]
    for point in record["points"]:
        seconds = {stage: point["costs"][stage]["seconds"] for stage in (*stages, "search")}
        total = sum(seconds[stage] for stage in stages)
        peak = max(cost["peak_bytes"] for cost in point["costs"].values())
        cells = (
            f"{point['n_articles']:,}",
            *(f"{seconds[stage]:,.1f} s" for stage in stages),
            f"{total:,.1f} s",
            f"{point['predicted_s']['all']:,.1f} s",
            f"{point['predicted_s']['all'] / total:.2f}",
            f"{seconds['search']:.1f} s",
            f"{peak / 1e6:,.0f} MB",
            *(f"{point['bytes'][name] / 1e6:,.1f} MB" for name in ("articles", "vectors", "index")),
        )
        lines.append(f"| {' | '.join(cells)} |")
    worst = max(
        (
            abs(point["predicted_s"][stage] / point["costs"][stage]["seconds"] - 1),
            stage,
            point["n_articles"],
        )
        for point in record["points"][:3]
        for stage in stages
    )
    return (
        f"From XML to a search, {record['max_seq_length']} tokens of each article encoded so that two cores can do "
        f"a million, on "
        f"{_machine(record)} (`benchmarks/million.py`). The constants of the plan were measured just before, on 200 and "
        f"4,000 articles:\n\n"
        + "\n".join(lines)
        + f"\n\nOf single stages up to 100,000 articles the plan is furthest off for {worst[1]} at {worst[2]:,}, by "
        f"{worst[0]:.0%}.\n"
    )


def _growth(record: dict[str, Any], kinds: dict[str, Any]) -> str:
    points = [point for point in record["points"] if "memory" in point]
    lines = ["| articles | own memory | mapped, of the index and libraries | index/ |", "|--:|--:|--:|--:|"]
    for point in points:
        memory = point["memory"]
        sizes = (memory["anonymous_bytes"], memory["mapped_bytes"], point["bytes"]["index"])
        lines.append(f"| {point['n_articles']:,} | {' | '.join(f'{size / 1e6:,.0f} MB' for size in sizes)} |")
    few, many = points[-2], points[-1]
    slope = (many["memory"]["anonymous_bytes"] - few["memory"]["anonymous_bytes"]) / (
        many["n_articles"] - few["n_articles"]
    )
    own = many["memory"]["anonymous_bytes"] + slope * (ALL_OF_PUBMED - many["n_articles"])
    bits = 56 * ALL_OF_PUBMED
    return (
        "A process that searches, by the size of the index:\n\n" + "\n".join(lines) + "\n\n"
        f"Own memory grows by {slope:.0f} bytes an article between the last two, which gives {own / 1e9:.1f} GB for "
        f"all of PubMed; the bits, 56 bytes an article, "
        f"are {bits / 1e9:.1f} GB more that should stay in the page cache for every search to be fast. Together "
        f"{(own + bits) / 1e9:.1f} GB, "
        "under 16 GB; the rest of the index is read where it is needed, and an SSD should hold it. This is "
        "extrapolated, not measured.\n\n"
        f"Kinds of vector index over {kinds['n_vectors']:,} real vectors with noise, each with 1,024 candidates "
        f"rescored from float16, "
        f"{kinds['n_queries']} queries, {_machine(kinds)} (`benchmarks/index_kinds.py`). A scan grows with the articles, "
        f"an inverted file of 4·√N cells "
        f"with their root:\n\n{kinds['markdown']}\n\n"
        "pubvec's own segments, as they are searched:\n\n"
        f"{kinds['filters_markdown']}\n"
    )


def _read(results: Path, name: str) -> Any:
    return json.loads((results / f"{name}.json").read_text())


def _machine(record: dict[str, Any]) -> str:
    return f"{record['machine']['processor']}, {record['machine']['n_cores']} cores"
