"""Serve honest requests beside hostile ones, and watch times, memory and /health.

python -m benchmarks.soak INDEX -o results/soak.json [--minutes 3]

Honest clients search, first alone and then beside clients that send heads by single bytes, stop in the middle of a head or a
body, declare or send too much, never end a body, leave before the answer, or come from a page of another site.
"""

from __future__ import annotations

import http.client
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.measuring import make_parser, origin, resident_bytes, run_program, write_record
from pubvec.errors import PubvecError

WORDS = (
    "aspirin",
    "stroke",
    "insulin",
    "sepsis",
    "cancer",
    "memory",
    "malaria",
    "asthma",
    "renal",
    "vaccine",
)
N_HONEST = 2
N_OF_EACH = 3
_HEAD = b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


class Soak:
    """A running server, its clients, and what they saw."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.stop = threading.Event()
        self.times: list[float] = []
        self.statuses: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()

    def count(self, kind: str, outcome: str) -> None:
        """Count what a client of this kind got."""
        with self._lock:
            self.statuses.setdefault(kind, Counter())[outcome] += 1

    def get(self, path: str, **headers: str) -> int:
        """Send a whole request, read the whole answer, and return its status."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=70)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def search(self, draw: random.Random) -> None:
        """Search as an honest client, and keep the time."""
        words = "+".join(draw.sample(WORDS, 3))
        began = time.perf_counter()
        status = self.get(f"/search?q={words}&n=10")
        with self._lock:
            self.times.append(time.perf_counter() - began)
        self.count("honest", str(status))
        self.stop.wait(0.1)

    def health(self, _: random.Random) -> None:
        """Ask for the health."""
        self.count("health", str(self.get("/health")))
        self.stop.wait(0.2)

    def cross_site(self, draw: random.Random) -> None:
        """Ask as a page of another site."""
        path = draw.choice(["/search?q=aspirin&n=1000", "/ask?q=aspirin", "/search?q=aspirin&format=ris"])
        self.count(
            "cross-site",
            str(self.get(path, **{"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"})),
        )

    def abandoned(self, draw: random.Random) -> None:
        """Ask for much, and leave."""
        with self._connect() as connection:
            connection.sendall(
                f"GET /search?q={draw.choice(WORDS)}&n=1000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
            )
            self.stop.wait(draw.uniform(0, 0.3))
        self.count("abandoned", "left")

    def slow(self, _: random.Random) -> None:
        """Send a head by single bytes until the server ends it."""
        with self._connect() as connection:
            for byte in b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 10_000:
                connection.sendall(bytes([byte]))
                if self.stop.wait(0.25):
                    return
        self.count("slow", "sent all")

    def half(self, draw: random.Random) -> None:
        """Stop in the middle of a head or a body, and wait."""
        data = draw.choice([b"GET /sea", _HEAD, _HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 5000])
        self._send("half-sent", data, 75.0)

    def oversized(self, draw: random.Random) -> None:
        """Declare or send more than is allowed."""
        big = b"".join(b"H%d: %s\r\n" % (number, b"v" * 90) for number in range(5000))
        data = draw.choice(
            [_HEAD + big + b"\r\n", _HEAD + b"Content-Length: 99999999999\r\n\r\n", b"GET /" + b"a" * 300_000]
        )
        self._send("oversized", data, 10.0)

    def endless(self, _: random.Random) -> None:
        """Send chunks without end."""
        with self._connect() as connection:
            connection.sendall(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            for _count in range(400):
                connection.sendall(chunk)
                if self.stop.is_set():
                    return
        self.count("endless", "sent 26 MB")

    def _connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=80)

    def _send(self, kind: str, data: bytes, wait_s: float) -> None:
        with self._connect() as connection:
            connection.sendall(data)
            connection.settimeout(wait_s)
            answer = connection.recv(64)
            self.count(kind, answer.split(b" ")[1].decode() if answer.startswith(b"HTTP") else "closed")

    def run(self, jobs: dict[str, tuple[Callable[[random.Random], None], int]], seconds: float) -> None:
        """Run `jobs`, each in so many threads, for `seconds`."""
        self.stop.clear()
        threads = [
            threading.Thread(target=self._repeat, args=(name, job, number), daemon=True)
            for name, (job, n) in jobs.items()
            for number in range(n)
        ]
        for thread in threads:
            thread.start()
        self.stop.wait(seconds)
        self.stop.set()
        for thread in threads:
            thread.join(timeout=1)

    def _repeat(self, name: str, job: Callable[[random.Random], None], number: int) -> None:
        draw = random.Random(f"{name}{number}")
        while not self.stop.is_set():
            try:
                job(draw)
            except (OSError, http.client.HTTPException) as error:  # noqa: PERF203  each request may end so
                if not self.stop.is_set():
                    self.count(name, f"closed ({type(error).__name__})")
                    self.stop.wait(0.05)


def p99(times: list[float]) -> float:
    """Return the 99th percentile of some seconds."""
    return statistics.quantiles(times, n=100)[98]


def start(index: Path) -> tuple[subprocess.Popen[str], str, int]:
    """Serve `index` on a free port."""
    command = [sys.executable, "-m", "pubvec", "serve", str(index), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    for line in server.stderr:
        if " serves " in line:
            host, port = line.split("/ serves ")[0].split("//")[1].split(":")
            threading.Thread(target=lambda: [None for _ in server.stderr or ()], daemon=True).start()
            return server, host, int(port)
    raise PubvecError("the server did not start")


def measure(index: Path, minutes: float) -> dict[str, Any]:
    """Return the figures of honest clients alone and beside others, and the memory of the server over the time."""
    server, host, port = start(index)
    try:
        soak = Soak(host, port)
        honest = {"honest": (soak.search, N_HONEST), "health": (soak.health, 1)}
        soak.run(honest, min(30.0, 15 * minutes))
        alone, soak.times, soak.statuses = soak.times, [], {}
        names = ("cross-site", "abandoned", "slow", "half-sent", "oversized", "endless")
        jobs = (soak.cross_site, soak.abandoned, soak.slow, soak.half, soak.oversized, soak.endless)
        hostile = {name: (job, N_OF_EACH) for name, job in zip(names, jobs, strict=True)}
        memory = [resident_bytes(process=server.pid)]
        for _ in range(4):
            soak.run(honest | hostile, 15 * minutes)
            memory.append(resident_bytes(process=server.pid))
        beside = soak.times
    finally:
        server.kill()
        server.wait()
    with suppress(ZeroDivisionError):
        ratio = p99(beside) / p99(alone)
    return {
        "seconds": 60 * minutes,
        "n_honest": len(beside),
        "p99_alone_s": round(p99(alone), 4),
        "p99_beside_s": round(p99(beside), 4),
        "ratio": round(ratio, 2),
        "memory_bytes": memory,
        "statuses": {name: dict(found) for name, found in soak.statuses.items()},
    }


def main() -> str:
    """Run, and write the JSON file."""
    parser = make_parser(__doc__, "soak.json")
    parser.add_argument("index", type=Path, help="folder made by `pubvec index`")
    parser.add_argument("--minutes", type=float, default=10.0, help="time beside hostile clients")
    chosen = parser.parse_args()
    found = measure(chosen.index, chosen.minutes)
    memory = ", ".join(f"{n / 1e6:.0f}" for n in found["memory_bytes"])
    lines = [
        f"{found['n_honest']:,} honest searches in {found['seconds'] / 60:.1f} minutes "
        f"beside {6 * N_OF_EACH} hostile clients: "
        f"p99 {1000 * found['p99_beside_s']:.0f} ms, "
        f"alone {1000 * found['p99_alone_s']:.0f} ms ({found['ratio']:.1f} times); "
        f"memory of the server in MB: {memory}.",
        "",
        "| clients | outcomes |",
        "|---|---|",
    ]
    for name, outcomes in found["statuses"].items():
        lines.append(f"| {name} | {', '.join(f'{kind}: {n:,}' for kind, n in sorted(outcomes.items()))} |")
    markdown = "\n".join(lines)
    write_record(chosen.output, {**origin(), **found, "markdown": markdown})
    return markdown


if __name__ == "__main__":
    run_program(main)
