"""Which store searches articles best?

python -m benchmarks.stores ARTICLES VECTORS -o results/stores.json

Every contender keeps the same rows, vectors and full text, and answers the same searches, in a process of its own. Filters
are `bucket < n` on a random column of 0 … 9,999, evaluated by the store itself, from all articles to one in ten thousand.
"""

from __future__ import annotations

import inspect
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.measuring import folder_bytes, make_parser, origin, run_program, write_record
from pubvec.collection import Collection
from pubvec.encoder import read_vectors

N_QUERIES, N_HITS, N_CANDIDATES, N_UPDATED = 40, 10, 1024, 1000
SHARES = (1.0, 0.5, 0.1, 0.01, 0.001, 0.0001)
BUCKETS = 10_000
COLUMNS = ("pmid", "title", "abstract", "bucket")


class Lance:
    """LanceDB: everything in one table. `kind`: of its vector index; flat: none."""

    kind = "flat"
    narrow = 20_000
    """Rows at which the index is bypassed."""

    def __init__(self, folder: Path) -> None:
        self.db = import_module("lancedb").connect(folder)

    def build_rows(self, rows: pa.Table, vectors: np.ndarray) -> None:
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        self.table = self.db.create_table("articles", rows.append_column("vector", column))
        for name in ("title", "abstract"):
            self.table.create_fts_index(name, with_position=True, replace=True)
        self.table.create_scalar_index("bucket")
        self.table.create_scalar_index("pmid")

    def build_vectors(self, vectors: np.ndarray) -> None:
        if self.kind != "flat":
            options = {"num_sub_vectors": 48} if self.kind == "IVF_PQ" else {}
            self.table.create_index(metric="cosine", index_type=self.kind, **options)

    def dense(self, vector: np.ndarray, limit: int, n_left: int) -> list[int]:
        query = self.table.search(vector).metric("cosine").limit(N_HITS).select(["pmid"])
        if limit < BUCKETS:
            query = query.where(f"bucket < {limit}", prefilter=True)
        if self.kind == "flat" or n_left <= self.narrow:
            query = query.bypass_vector_index()
        else:
            query = query.nprobes(50).refine_factor(30)
        return list(query.to_arrow()["pmid"].to_pylist())

    def lexical(self, words: list[str]) -> int:
        query = import_module("lancedb.query").MultiMatchQuery(" ".join(words), ["title", "abstract"])
        return len(self.table.search(query, query_type="fts").select(["pmid"]).limit(100).to_arrow())

    def update(self, rows: pa.Table, vectors: np.ndarray) -> None:
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        new = rows.append_column("vector", column)
        self.table.merge_insert("pmid").when_matched_update_all().when_not_matched_insert_all().execute(new)
        self.table.optimize()


class LancePq(Lance):
    """Product quantization, refined."""

    kind = "IVF_PQ"


class LanceHnsw(Lance):
    """A graph of 8-bit vectors, refined."""

    kind = "IVF_HNSW_SQ"


class Faiss:
    """Vectors in faiss: `factory`, rescored from float16. Rows and full text elsewhere."""

    factory: str | None = "RaBitQ"
    n_probes: int | None = None
    """Lists of an inverted file that are searched."""

    pmids: np.ndarray

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.codes: Any = None

    def build_vectors(self, vectors: np.ndarray) -> None:
        faiss: Any = import_module("faiss")
        self.float16 = vectors.astype(np.float16)
        np.save(self.folder / "vectors.npy", self.float16)
        if self.factory is None:
            self.codes = faiss.IndexBinaryFlat(vectors.shape[1])
            self.codes.add(np.packbits(vectors > 0, axis=1))
            faiss.write_index_binary(self.codes, str(self.folder / "codes"))
        else:
            self.codes = faiss.index_factory(vectors.shape[1], self.factory, faiss.METRIC_INNER_PRODUCT)
            self.codes.train(vectors[:: max(1, len(vectors) // 50_000)])
            self.codes.add(vectors)
            faiss.write_index(self.codes, str(self.folder / "codes"))

    def dense(self, vector: np.ndarray, limit: int, n_left: int) -> list[int]:
        faiss: Any = import_module("faiss")
        rows = None if limit == BUCKETS else self.rows_below(limit)
        if rows is not None and len(rows) <= 4 * N_CANDIDATES:
            found = rows
        else:
            options: dict[str, Any] = {}
            if rows is not None:
                mask = np.zeros(len(self.float16), bool)
                mask[rows] = True
                options["sel"] = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
            parameters = faiss.SearchParameters(**options) if options else None
            if self.n_probes is not None:
                parameters = faiss.SearchParametersIVF(nprobe=self.n_probes, **options)
            query = np.packbits(vector > 0)[None] if self.factory is None else vector[None]
            found = self.codes.search(query, N_CANDIDATES, params=parameters)[1][0]
        cosines = self.float16[found].astype(np.float32) @ vector
        return list(self.pmids[found[np.argsort(-cosines)[:N_HITS]]].tolist())

    def rows_below(self, limit: int) -> np.ndarray:
        raise NotImplementedError


class FaissSqlite(Faiss):
    """Rows and full text (FTS5) in SQLite."""

    def build_rows(self, rows: pa.Table, vectors: np.ndarray) -> None:
        self.pmids = rows["pmid"].to_numpy()
        self.sql = sqlite3.connect(self.folder / "rows.db")
        self.sql.execute("create table rows (id integer primary key, pmid unique, title, abstract, bucket)")
        self.sql.execute("create index buckets on rows (bucket)")
        self.sql.execute(
            "create virtual table texts using fts5(title, abstract, content='', tokenize='porter unicode61')"
        )
        values = list(zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True))
        self.sql.executemany(
            "insert into rows values (?, ?, ?, ?, ?)", ((n, *row) for n, row in enumerate(values))
        )
        self.sql.executemany(
            "insert into texts (rowid, title, abstract) values (?, ?, ?)",
            ((n, row[1], row[2]) for n, row in enumerate(values)),
        )
        self.sql.commit()

    def rows_below(self, limit: int) -> np.ndarray:
        found = self.sql.execute("select id from rows where bucket < ?", (limit,)).fetchall()
        return np.array(found, dtype=np.int64).ravel()

    def lexical(self, words: list[str]) -> int:
        query = " OR ".join(f'"{word}"' for word in words)
        return len(
            self.sql.execute(
                "select rowid from texts where texts match ? order by rank limit 100", (query,)
            ).fetchall()
        )

    def update(self, rows: pa.Table, vectors: np.ndarray) -> None:
        for row in zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True):
            self.sql.execute(
                "insert or replace into rows (pmid, title, abstract, bucket) values (?, ?, ?, ?)", row
            )
        self.sql.commit()
        self.codes.add(vectors if self.factory else np.packbits(vectors > 0, axis=1))


class FaissSqliteBits(FaissSqlite):
    """Bits compared by Hamming distance instead."""

    factory = None


class FaissSqliteSq8(FaissSqlite):
    """All vectors compared, 8 bits a dimension."""

    factory = "SQ8"


class FaissSqliteIvf(FaissSqlite):
    """An inverted file of them."""

    factory = "IVF1024,SQ8"
    n_probes = 64


class FaissTantivy(Faiss):
    """Rows and full text in tantivy."""

    def build_rows(self, rows: pa.Table, vectors: np.ndarray) -> None:
        import tantivy

        self.pmids = rows["pmid"].to_numpy()
        builder = tantivy.SchemaBuilder()
        for name in ("row", "pmid", "bucket"):
            builder.add_unsigned_field(name, stored=False, indexed=True, fast=True)
        for name in ("title", "abstract"):
            builder.add_text_field(name, stored=True, tokenizer_name="en_stem")
        (self.folder / "texts").mkdir()
        self.index = tantivy.Index(builder.build(), path=str(self.folder / "texts"))
        self._add(rows, 0)

    def _add(self, rows: pa.Table, start: int) -> None:
        import tantivy

        writer = self.index.writer(256_000_000, 1)
        query = tantivy.Query.term_set_query(self.index.schema, "pmid", rows["pmid"].to_pylist())
        writer.delete_documents_by_query(query)
        for n, (pmid, title, abstract, bucket) in enumerate(
            zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True)
        ):
            document = tantivy.Document(title=title, abstract=abstract or "")
            for name, value in (("row", start + n), ("pmid", pmid), ("bucket", bucket)):
                document.add_unsigned(name, value)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        self.index.reload()

    def rows_below(self, limit: int) -> np.ndarray:
        import tantivy

        query = tantivy.Query.range_query(
            self.index.schema, "bucket", tantivy.FieldType.Unsigned, 0, limit - 1
        )
        searcher = self.index.searcher()
        hits = searcher.search(query, len(self.pmids), count=False).hits
        return np.array(searcher.fast_field_values("row", [address for _, address in hits]), dtype=np.int64)

    def lexical(self, words: list[str]) -> int:
        query = self.index.parse_query(" ".join(words), ["title", "abstract"])
        return len(self.index.searcher().search(query, 100, count=False).hits)

    def update(self, rows: pa.Table, vectors: np.ndarray) -> None:
        self._add(rows, len(self.pmids))
        self.codes.add(vectors)


CONTENDERS: dict[str, Any] = {
    "LanceDB, no vector index": Lance,
    "LanceDB, IVF_PQ": LancePq,
    "LanceDB, IVF_HNSW_SQ": LanceHnsw,
    "faiss SQ8 + SQLite FTS5": FaissSqliteSq8,
    "faiss IVF SQ8 + SQLite FTS5": FaissSqliteIvf,
    "faiss 1 bit (Hamming) + SQLite FTS5": FaissSqliteBits,
    "faiss RaBitQ + SQLite FTS5": FaissSqlite,
    "faiss RaBitQ + tantivy": FaissTantivy,
}


def measure(
    name: str, articles: Path, vectors_folder: Path, folder: Path, repeat_to: int | None
) -> dict[str, Any]:
    """One contender, in this process."""
    rows, vectors, queries, words = read_data(articles, vectors_folder, repeat_to)
    store = CONTENDERS[name](folder)
    _, rows_s = timed(lambda: store.build_rows(rows, vectors))
    _, vectors_s = timed(lambda: store.build_vectors(vectors))
    bucket, pmids = rows["bucket"].to_numpy(), rows["pmid"].to_numpy()
    shares = {}
    for share in SHARES:
        limit = round(share * BUCKETS)
        left = np.flatnonzero(bucket < limit)
        recalls, times = [], []
        for query in queries:
            wanted = set(pmids[left[np.argsort(-(vectors[left] @ query))[:N_HITS]]].tolist())
            found, seconds = timed(lambda: store.dense(query, limit, len(left)))  # noqa: B023
            times.append(1000 * seconds)
            recalls.append(len(wanted & set(found)) / len(wanted))
        shares[str(share)] = {"recall": fmean(recalls), "p50_ms": median(times)}
    lexical = [1000 * timed(lambda: store.lexical(each))[1] for each in words]  # noqa: B023
    n_bytes = folder_bytes(folder)
    _, update_s = timed(lambda: store.update(rows.slice(0, N_UPDATED), vectors[:N_UPDATED]))
    lines = {
        line
        for part in CONTENDERS[name].__mro__[:-1]
        for line in inspect.getsource(part).splitlines()
        if line.strip()
    }
    return {
        "shares": shares,
        "lexical_p50_ms": None if repeat_to else median(lexical),
        "rows_s": rows_s,
        "vectors_s": vectors_s,
        "update_s": update_s,
        "disk_bytes": n_bytes,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "own_lines": len(lines),
    }


def read_data(
    articles: Path, vectors: Path, repeat_to: int | None
) -> tuple[pa.Table, np.ndarray, np.ndarray, list[list[str]]]:
    """Rows with a random bucket, vectors, and titles as queries: vectors near to theirs, and their words.

    With `repeat_to` vectors are repeated, with noise, and rows hold no text: so many texts would take too long.
    """
    draw = np.random.default_rng(0)
    rows = Collection(articles).read(["pmid", "title", "abstract"]).combine_chunks()
    stored = np.asarray(read_vectors(vectors)[1], dtype=np.float32)
    chosen = draw.choice(len(stored), N_QUERIES, replace=False)
    titles = rows["title"].take(pa.array(chosen)).to_pylist()
    words = [
        [word for word in title.lower().split() if word.isalnum() and len(word) > 3] or ["cell"]
        for title in titles
    ]
    queries = _noisy(stored[chosen], draw)
    if repeat_to:
        stored = _noisy(stored[np.arange(repeat_to) % len(stored)], draw)
        empty = pa.array([""] * repeat_to)
        rows = pa.table({"pmid": np.arange(repeat_to, dtype=np.int32), "title": empty, "abstract": empty})
    rows = rows.append_column("bucket", pa.array(draw.integers(0, BUCKETS, rows.num_rows)))
    return rows, stored, queries, words


def _noisy(vectors: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    noisy: np.ndarray = vectors + 0.02 * draw.standard_normal(vectors.shape, dtype=np.float32)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    return noisy


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What `run` gives, and its seconds."""
    started = time.perf_counter()
    found = run()
    return found, time.perf_counter() - started


def iter_lines(results: dict[str, Any]) -> Iterator[str]:
    """The table, in Markdown."""
    shares = " | ".join(f"{100 * share:g} %" for share in SHARES)
    yield (
        f"| recall@10 (p50 in ms) where a filter leaves | {shares} | BM25 p50 | build rows, vectors | update 1,000 | disk | "
        "peak memory | lines |"
    )
    yield f"|---|{'--:|' * (len(SHARES) + 6)}"
    for name, found in results.items():
        if "error" in found:
            yield f"| {name} | {found['error']} |"
            continue
        cells = [f"{each['recall']:.3f} ({each['p50_ms']:.0f})" for each in found["shares"].values()]
        cells += [
            "–" if found["lexical_p50_ms"] is None else f"{found['lexical_p50_ms']:.1f} ms",
            f"{found['rows_s']:.0f}, {found['vectors_s']:.0f} s",
            f"{found['update_s']:.1f} s",
        ]
        cells += [
            f"{found['disk_bytes'] / 1e6:,.0f} MB",
            f"{found['peak_bytes'] / 1e6:,.0f} MB",
            str(found["own_lines"]),
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> str:
    """Measure each contender in a process of its own, and write the JSON file."""
    parser = make_parser(__doc__, "stores.json")
    parser.add_argument("articles", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--only", help="measure this contender in this process")
    parser.add_argument("--repeat-to", type=int, help="so many vectors, without texts")
    parser.add_argument("--contender", action="append", help="measure these alone; the file keeps the others")
    parser.add_argument("--limit-s", type=float, default=900)
    chosen = parser.parse_args()
    if chosen.only:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(chosen.only, chosen.articles, chosen.vectors, Path(folder), chosen.repeat_to)
        return json.dumps(found)
    is_partly = chosen.contender and chosen.output.exists()
    results: dict[str, Any] = json.loads(chosen.output.read_text())["results"] if is_partly else {}
    for name in chosen.contender or CONTENDERS:
        command = [sys.executable, "-m", "benchmarks.stores", "--only", name]
        command += [str(chosen.articles), str(chosen.vectors)]
        command += ["--repeat-to", str(chosen.repeat_to)] if chosen.repeat_to else []
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=chosen.limit_s, check=False
            )
            results[name] = (
                json.loads(done.stdout.splitlines()[-1])
                if done.returncode == 0
                else {"error": done.stderr[-300:]}
            )
        except subprocess.TimeoutExpired:
            results[name] = {"error": f"not done within {chosen.limit_s:.0f} s"}
        print(list(iter_lines({name: results[name]}))[-1], file=sys.stderr, flush=True)
        markdown = "\n".join(iter_lines(results))
        write_record(chosen.output, {**origin(), "results": results, "markdown": markdown})
    return "\n".join(iter_lines(results))


if __name__ == "__main__":
    run_program(main)
