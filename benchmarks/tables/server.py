"""The limits and figures of `docs/serve.md`."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any


def blocks(results: Path) -> dict[str, str]:
    """Each block of the page by its name."""
    return {"limits": _limits(), "load": _load(json.loads((results / "serve.json").read_text()))}


def _limits() -> str:
    from pubvec.cli.options import field_docs
    from pubvec.server.config import LimitsConfig

    docs = field_docs(LimitsConfig)
    lines = [
        f"| `{field.name}` | {field.default:,g} | {docs[field.name]} |" for field in fields(LimitsConfig)
    ]
    return "\n".join(["| limit | by default | |", "|---|--:|---|", *lines]) + "\n"


def _load(record: dict[str, Any]) -> str:
    found, machine = record["measured"], record["machine"]
    encoder, many, one = found["encoder"], found["64 clients"], found["1 client"]
    plain, plain_one = found["plain, 64 clients"], found["plain, 1 client"]
    share = many["per_s"] / encoder["batch_per_s"]
    share_64 = many["per_s"] / encoder["by_64_per_s"]
    plainly = "FastAPI + sentence-transformers"
    alone = {"per_s": 1000 / encoder["p50_ms"], **encoder}
    lines = [
        f"{machine['processor']}, {machine['n_cores']} cores, shared by server and client (wrk); {record['model']} "
        f"int8; short queries, one a request; medians of {record['n_rounds']} rounds in which all take turns "
        "(`benchmarks/server_load.py`):",
        "",
        "| | queries/s | p50 | p99 |",
        "|---|--:|--:|--:|",
        f"| the bare encoder, all queries in one call | {encoder['batch_per_s']:,.0f} | | |",
        f"| the bare encoder, 64 a call | {encoder['by_64_per_s']:,.0f} | | |",
        _line("the server, 64 clients", many),
        _line(f"{plainly}, 64 clients", plain),
        _line("the bare encoder, one query a call", alone),
        _line("the server, one client", one),
        _line(f"{plainly}, one client", plain_one),
        "",
        f"That is {share:.0%} of the encoder's rate on a long list and {share_64:.0%} of that on lists of 64, "
        f"{many['per_s'] / plain['per_s']:.1f} times the plain server's, and for a single client "
        f"{one['p99_ms'] / encoder['p99_ms']:.1f} times the encoder's p99. The server answers {found['start_s']:.1f} s "
        "after its start.",
    ]
    if soak := found.get("soak"):
        statuses = ", ".join(f"{n:,} × {status}" for status, n in soak["statuses"].items())
        lines += [
            "",
            f"{soak['seconds'] / 60:.0f} minutes of mixed load by 12 clients on a server that takes 8 requests at a time: "
            f"{statuses}; "
            f"{soak['n_5xx']} of 500 or above. Resident memory, median of the first third and of the last: "
            f"{soak['resident_bytes_first_third'] / 1e6:,.0f} and {soak['resident_bytes_last_third'] / 1e6:,.0f} MB.",
        ]
    return "\n".join(lines) + "\n"


def _line(name: str, found: dict[str, float]) -> str:
    return f"| {name} | {found['per_s']:,.0f} | {found['p50_ms']:.1f} ms | {found['p99_ms']:.1f} ms |"
