"""Files → folder: order, resuming, workers, standard input, manifest."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from makers import make_article, make_articles_xml, make_deletion, make_document, write_xml
from pubvec.collection import Collection
from pubvec.corpus.parsing import order_files, parse
from pubvec.engine import LocalEngine
from pubvec.errors import InputError, OutputError
from pubvec.progress import listen
from pubvec.records import Article, DeletedCitation
from pubvec.tables import rows_of, schema_of

ONE_WORKER = LocalEngine(1)


def pmids(folder: Path) -> list[int]:
    return Collection(folder).read(["pmid"])["pmid"].to_pylist()


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def test_shards_manifest_and_progress(tmp_path: Path) -> None:
    files = [
        write_xml(tmp_path / "b.xml.gz", [make_article(1), make_article(2), make_deletion([(9, 1), (2, 1)])]),
        write_xml(tmp_path / "a.xml", [make_article(3)]),
    ]
    seen: list[tuple[str, int, int | None]] = []
    with listen(lambda *report: seen.append(report)):
        manifest = parse(files, tmp_path / "articles", engine=ONE_WORKER)
    assert manifest.command == "parse" and list(manifest.inputs) == ["b.xml.gz", "a.xml"]
    assert manifest.counts == {"n_files": 2, "n_records": 3, "n_deleted": 2, "n_skipped": 0, "skipped": []}
    assert manifest.config["files"] == ["b.xml.gz", "a.xml"]
    assert manifest.config["skip_bad_records"] is False
    assert seen == [("files", 1, 2), ("files", 2, 2)]
    assert pmids(tmp_path / "articles") == [1, 3]
    table = pq.read_table(tmp_path / "articles" / "part-00000.parquet")
    assert table.schema.equals(schema_of(Article))
    assert [article.pmid for article in rows_of(Article, table)] == [1, 2]
    deleted = rows_of(DeletedCitation, pq.read_table(tmp_path / "articles" / "deleted.parquet"))
    assert deleted == [DeletedCitation(9, 1, 0), DeletedCitation(2, 1, 0)]


def test_deleted_is_there_though_empty(tmp_path: Path) -> None:
    parse([make_articles_xml(tmp_path / "a.xml", 1)], tmp_path / "articles")
    deleted = pq.read_table(tmp_path / "articles" / "deleted.parquet")
    assert deleted.num_rows == 0 and deleted.schema.equals(schema_of(DeletedCitation))


def test_order_is_nlms_where_all_names_are() -> None:
    names = [
        "u/pubmed26n1335.xml.gz",
        "b/pubmed26n0002.xml.gz",
        "b/pubmed25n0100.xml.gz",
        "b/pubmed26n0001.xml",
    ]
    assert order_files(names) == [names[2], names[3], names[1], names[0]]
    assert order_files([*names, "mine.xml"]) == [*names, "mine.xml"]


def test_gzip_of_members_and_misnamed_files(tmp_path: Path) -> None:
    document = make_document([make_article(pmid) for pmid in range(1, 50)]).encode()
    members = b"".join(gzip.compress(document[i : i + 3000]) for i in range(0, len(document), 3000))
    (tmp_path / "members.xml.gz").write_bytes(members + bytes(100))  # zeros may follow, as on tapes
    (tmp_path / "plain.xml.gz").write_bytes(document)
    (tmp_path / "gzipped.xml").write_bytes(gzip.compress(document))
    for name in ("members.xml.gz", "plain.xml.gz", "gzipped.xml"):
        parse([tmp_path / name], tmp_path / name.replace(".", "-"))
        assert pmids(tmp_path / name.replace(".", "-")) == list(range(1, 50))


@pytest.mark.parametrize("is_gzipped", [False, True])
def test_standard_input(is_gzipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_document([make_article(1), make_article(2)]).encode()
    data = gzip.compress(data) if is_gzipped else data
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))  # type: ignore[arg-type]
    assert parse(["-"], tmp_path / "articles").counts["n_records"] == 2


def test_complete_output_is_refused_without_force(tmp_path: Path) -> None:
    path = make_articles_xml(tmp_path / "a.xml", 3)
    parse([path], tmp_path / "articles")
    with pytest.raises(OutputError, match="--force"):
        parse([path], tmp_path / "articles")
    make_articles_xml(path, 4)
    parse([path], tmp_path / "articles", force=True)
    assert len(pmids(tmp_path / "articles")) == 4


def test_workers_write_the_same_bytes(tmp_path: Path) -> None:
    files = [make_articles_xml(tmp_path / f"{i}.xml.gz", 1500, first_pmid=1 + 1500 * i) for i in range(3)]
    for n_workers in (1, 2):
        parse(files, tmp_path / str(n_workers), engine=LocalEngine(n_workers))
    assert shards(tmp_path / "1") == shards(tmp_path / "2")
    assert len(pmids(tmp_path / "2")) == 4500


def test_resuming_with_another_order_is_refused(tmp_path: Path) -> None:
    files = [make_articles_xml(tmp_path / name, 2) for name in ("a.xml", "b.xml")]
    write_xml(tmp_path / "c.xml", [make_article("bad")])
    with pytest.raises(InputError):
        parse([*files, tmp_path / "c.xml"], tmp_path / "articles", engine=ONE_WORKER)
    with pytest.raises(OutputError, match="other settings"):
        parse([files[1], files[0], tmp_path / "c.xml"], tmp_path / "articles", engine=ONE_WORKER)


PARSE = """
import sys
from pubvec.corpus.config import ParseConfig
from pubvec.engine import LocalEngine
from pubvec.corpus.parsing import parse
if __name__ == "__main__":
    parse(sys.argv[3:], sys.argv[1], engine=LocalEngine(int(sys.argv[2])))
"""


@pytest.mark.parametrize("n_workers", [1, 2])
def test_killed_run_resumes_to_the_same_bytes(n_workers: int, tmp_path: Path) -> None:
    files = [make_articles_xml(tmp_path / f"{i}.xml", 1200, first_pmid=1 + 1200 * i) for i in range(8)]
    parse(files, tmp_path / "undisturbed", engine=ONE_WORKER)
    (tmp_path / "parse.py").write_text(PARSE)
    command = [
        sys.executable,
        str(tmp_path / "parse.py"),
        str(tmp_path / "killed"),
        str(n_workers),
        *map(str, files),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (tmp_path / "killed.partial" / "part-00001.parquet").exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    time.sleep(0.3)  # its workers end a moment later
    assert not (tmp_path / "killed").exists()
    done = {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / "killed.partial").glob("part-*.parquet")
    }
    assert 0 < len(done) < len(files)
    parse(files, tmp_path / "killed", engine=ONE_WORKER)
    assert shards(tmp_path / "killed") == shards(tmp_path / "undisturbed")
    assert all((tmp_path / "killed" / name).stat().st_mtime_ns == mtime for name, mtime in done.items())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    # Not ru_maxrss, which begins with what the parent process used.
    script = (
        "import sys\nfrom pubvec.corpus.parsing import parse\nparse(sys.argv[1:2], sys.argv[2])\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    peaks = []
    for n in (3000, 12000):
        path = make_articles_xml(tmp_path / f"{n}.xml", n, n_words=200)
        command = [sys.executable, "-c", script, str(path), str(tmp_path / f"out{n}")]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        peaks.append(int(result.stdout) // 1024)
    assert peaks[1] - peaks[0] < 15, peaks  # MB; how much it is in all is a benchmark
