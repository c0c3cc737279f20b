"""How many queries a second does the server answer, beside the bare encoder and a plain server?

python -m benchmarks.server_load ARTICLES -o results/serve.json

Short queries (the first eight words of titles), one a request, are sent by wrk (https://github.com/wg/wrk) from the same two
cores: by 64 clients at a time, and by one. Encoder, server and plain server take turns; figures are medians of the rounds.
With `--soak-s` a mixed load follows: long lists, short queries, refusals and overloads, while memory is watched.
"""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pyarrow.parquet as pq

from benchmarks.measuring import make_parser, origin, resident_bytes, run_program, run_python, write_record
from pubvec.encoder import resolve

N_CLIENTS = 64
N_WORDS = 8
SCRIPT = """
local bodies, next = {}, 0
for line in io.lines("%s") do bodies[#bodies + 1] = line end
request = function()
  next = next %% #bodies + 1
  return wrk.format("POST", "/embed", {["Content-Type"] = "application/json"}, bodies[next])
end
done = function(summary, latency, requests)
  io.write(string.format("\\nfound: {\\"per_s\\": %%f, \\"p50_ms\\": %%f, \\"p99_ms\\": %%f, \\"n_failed\\": %%d}\\n",
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""


def read_queries(articles: Path, n: int) -> tuple[list[str], list[str]]:
    """Short queries, and abstracts."""
    table = pq.read_table(sorted(articles.glob("part-*.parquet"))[-1], columns=["title", "abstract"])
    rows = [row for row in table.to_pylist() if row["title"] and row["abstract"]]
    random.Random(0).shuffle(rows)
    queries = [" ".join(re.sub(r"<[^>]*>", "", row["title"]).split()[:N_WORDS]) for row in rows]
    return queries[:n], [row["abstract"] for row in rows[:n]]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server as a process of its own."""

    def __init__(self, command: Sequence[str], port: int) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.address = f"http://127.0.0.1:{port}"
        while True:
            try:
                httpx.get(f"{self.address}/health", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.01)
        self.start_s = time.perf_counter() - began

    @property
    def resident_bytes(self) -> int:
        """Of the process now."""
        return resident_bytes(process=self.process.pid)


@contextmanager
def serving(*command: str) -> Iterator[Server]:
    """A server that ends with the block; its command has `PORT` in it."""
    port = free_port()
    server = Server([part.replace("PORT", str(port)) for part in command], port)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


def load_with(server: Server, script: Path, n_clients: int, seconds: int) -> dict[str, float]:
    """What wrk measures of a server."""
    command = ["wrk", "-t1", f"-c{n_clients}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
    done = subprocess.run([*command, server.address], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.partition("found: ")[2])
    return found


def measure_encoder(model: str, queries: list[str]) -> dict[str, float]:
    """The bare encoder in a process of its own: many queries in one call, 64 a call, and one at a time."""
    program = (
        "import json, sys, time\nfrom pubvec import load\nencoder = load(sys.argv[1])\n"
        "queries = json.load(sys.stdin)\nencoder.encode(queries)\n"
        "def timed(lists):\n"
        "    spent = []\n"
        "    for texts in lists:\n"
        "        began = time.perf_counter(); encoder.encode(texts); spent.append(time.perf_counter() - began)\n"
        "    return spent\n"
        "many = timed([queries * 4])\n"
        f"sixty = timed([queries[n:n + {N_CLIENTS}] for n in range(0, len(queries), {N_CLIENTS})])\n"
        "alone = sorted(timed([[query] for query in queries[:1000]]))\n"
        "print(json.dumps({'batch_per_s': 4 * len(queries) / many[0], 'by_64_per_s': len(queries) / sum(sixty),\n"
        "    'p50_ms': 1000 * alone[len(alone) // 2], 'p99_ms': 1000 * alone[int(0.99 * len(alone))]}))"
    )
    found: dict[str, float] = run_python(program, model, stdin=json.dumps(queries))
    return found


def middle(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: round(median(each[name] for each in rounds), 2) for name in rounds[0]}


def compare(model: str, queries: list[str], n_rounds: int, seconds: int) -> dict[str, Any]:
    """Encoder, server and plain server in turn."""
    measured: dict[str, list[dict[str, float]]] = {
        name: [] for name in ("encoder", "64 clients", "1 client", "plain, 64 clients", "plain, 1 client")
    }
    ours = (sys.executable, "-m", "pubvec", "embed-server", model, "--port", "PORT")
    plain = (sys.executable, "-m", "benchmarks.plain_server", str(resolve(model)), "PORT")
    starts = []
    with tempfile.TemporaryDirectory() as folder:
        bodies, script = Path(folder) / "bodies", Path(folder) / "load.lua"
        bodies.write_text("".join(json.dumps({"inputs": [query]}) + "\n" for query in queries))
        script.write_text(SCRIPT % bodies)
        for _ in range(n_rounds):
            measured["encoder"].append(measure_encoder(model, queries))
            for command, prefix in ((ours, ""), (plain, "plain, ")):
                with serving(*command) as server:
                    if command is ours:
                        starts.append(server.start_s)
                    load_with(server, script, 4, 2)
                    measured[f"{prefix}1 client"].append(load_with(server, script, 1, seconds))
                    measured[f"{prefix}64 clients"].append(load_with(server, script, N_CLIENTS, seconds))
    found: dict[str, Any] = {name: middle(rounds) for name, rounds in measured.items()}
    found["start_s"] = round(median(starts), 2)
    return found


def soak(model: str, queries: list[str], abstracts: list[str], seconds: float) -> dict[str, Any]:
    """Mixed load by 12 clients on a server that takes 8 requests at a time."""
    statuses: Counter[int] = Counter()
    memory: list[int] = []
    ends = time.monotonic() + seconds
    command = (sys.executable, "-m", "pubvec", "embed-server", model, "--port", "PORT")
    limits = ("--max-concurrent-requests", "8", "--payload-limit", "1000000")

    def ask(seed: int) -> None:
        draw = random.Random(seed)
        with httpx.Client(base_url=server.address, timeout=120) as client:
            while time.monotonic() < ends:
                requests: list[tuple[str, Any]] = [
                    ("/embed", {"inputs": draw.choice(queries)}),
                    ("/embed", {"inputs": draw.sample(abstracts, draw.randint(1, 20))}),
                    ("/v1/embeddings", {"input": draw.sample(queries, 30), "encoding_format": "base64"}),
                    ("/rerank", {"query": draw.choice(queries), "texts": draw.sample(abstracts, 5)}),
                    ("/embed_all", {"inputs": draw.choice(queries)}),
                    ("/tokenize", {"inputs": draw.choice(abstracts)}),
                    ("/embed", {"inputs": draw.choice(queries) * 20_000}),
                    ("/embed", {"inputs": 7}),
                ]
                path, body = draw.choices(requests, (40, 10, 10, 10, 5, 5, 1, 5))[0]
                statuses[client.post(path, json=body).status_code] += 1

    with serving(*command, *limits) as server:
        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(12)]
        for thread in threads:
            thread.start()
        while time.monotonic() < ends:
            time.sleep(min(5, seconds / 20))
            memory.append(server.resident_bytes)
        for thread in threads:
            thread.join()
        is_alive = httpx.post(f"{server.address}/embed", json={"inputs": "aspirin"}).status_code == 200
    settled = memory[len(memory) // 10 :]
    third = max(1, len(settled) // 3)
    return {
        "seconds": seconds,
        "statuses": {str(status): n for status, n in sorted(statuses.items())},
        "n_5xx": sum(n for status, n in statuses.items() if status >= 500),
        "resident_bytes_first_third": int(median(settled[:third])),
        "resident_bytes_last_third": int(median(settled[-third:])),
        "resident_bytes_peak": max(memory),
        "is_alive": is_alive,
    }


def main() -> str:
    """Measure, and write the JSON file."""
    parser = make_parser(__doc__, "serve.json")
    parser.add_argument("articles", type=Path)
    parser.add_argument("-m", "--model", default="pubvec-small")
    parser.add_argument("-n", type=int, default=5, help="Rounds.")
    parser.add_argument("--seconds", type=int, default=8, help="Of each load.")
    parser.add_argument("--soak-s", type=float, default=0.0, help="Of the mixed load; 0: none.")
    chosen = parser.parse_args()
    queries, abstracts = read_queries(chosen.articles, 2000)
    found = compare(chosen.model, queries, chosen.n, chosen.seconds)
    if chosen.soak_s:
        found["soak"] = soak(chosen.model, queries, abstracts, chosen.soak_s)
    record = {
        "model": chosen.model,
        "n_queries": len(queries),
        "n_rounds": chosen.n,
        "measured": found,
        **origin(),
    }
    write_record(chosen.output, record)
    return json.dumps(found, indent=1)


if __name__ == "__main__":
    run_program(main)
