from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pubvec.collection import DELETED
from pubvec.encoder import load
from pubvec.encoder.texts import shard_texts
from pubvec.encoder.vectors import EncodeConfig, encode, encode_to_folder, read_vectors
from pubvec.errors import ConfigError, InputError, OutputError
from pubvec.files import OutputFolder, read_manifest
from pubvec.progress import listen
from pubvec.records import Article, DeletedCitation, Journal
from pubvec.tables import schema_of, table_of
from tiny_models import TEXTS

FP32 = EncodeConfig(precision="fp32", dtype="float32", texts_per_shard=4)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def test_text_file(lines: Path, exported_model: Path, tmp_path: Path) -> None:
    reports = []
    with listen(lambda *report: reports.append(report)):
        manifest = encode(lines, exported_model, tmp_path / "vectors", config=FP32)
    ids, vectors = read_vectors(tmp_path / "vectors")
    assert ids.tolist() == list(range(10))
    assert vectors.dtype == np.float32
    expected = load(exported_model, precision="fp32").encode(TEXTS)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert manifest == read_manifest(tmp_path / "vectors", made_by="encode")
    assert manifest.counts == {"n_texts": 10, "dim": 32, "n_shards": 3}
    assert (manifest.config["backend"], manifest.config["precision"]) == ("onnx", "fp32")
    assert reports == [("texts", 4, None), ("texts", 8, None), ("texts", 10, None)]


def test_float16_is_near(lines: Path, exported_model: Path, tmp_path: Path) -> None:
    encode(lines, exported_model, tmp_path / "half", config=EncodeConfig(precision="fp32"))
    _, vectors = read_vectors(tmp_path / "half")
    assert vectors.dtype == np.float16
    assert isinstance(vectors, np.memmap)
    np.testing.assert_allclose(vectors, load(exported_model, precision="fp32").encode(TEXTS), atol=5e-4)


def test_tables_give_the_same_vectors(lines: Path, exported_model: Path, tmp_path: Path) -> None:
    encode(lines, exported_model, tmp_path / "lines", config=FP32)
    rows = [{"key": f"k{i}", "sentence": text} for i, text in enumerate(TEXTS)]
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "t.parquet")
    pa.csv.write_csv(table, tmp_path / "t.csv")
    pa.csv.write_csv(table, tmp_path / "t.tsv", pa.csv.WriteOptions(delimiter="\t"))
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = EncodeConfig(
        precision="fp32", dtype="float32", texts_per_shard=4, text_column="sentence", id_column="key"
    )
    for suffix in ("parquet", "csv", "tsv", "jsonl"):
        encode(tmp_path / f"t.{suffix}", exported_model, tmp_path / suffix, config=config)
        ids, vectors = read_vectors(tmp_path / suffix)
        assert ids.tolist() == [row["key"] for row in rows]
        np.testing.assert_array_equal(vectors, read_vectors(tmp_path / "lines")[1])


def test_articles(exported_model: Path, tmp_path: Path) -> None:
    blank = {field.name: [] if pa.types.is_list(field.type) else None for field in schema_of(Article)}
    blank |= {"version": 1, "is_book": False, "journal": (None,) * len(Journal._fields)}
    articles = [
        Article(**{**blank, "pmid": 10, "title": "Sepsis.", "abstract": "It is deadly."}),
        Article(**{**blank, "pmid": 11, "title": "Stroke.", "abstract": None}),
        Article(**{**blank, "pmid": 12, "title": "Withdrawn.", "abstract": None}),
    ]
    with OutputFolder(tmp_path / "articles", command="parse", config={}) as folder:
        pq.write_table(table_of(Article, articles), folder / "part-00000.parquet")
        pq.write_table(table_of(DeletedCitation, [DeletedCitation(12, 1, 0)]), folder / DELETED)
    encode(tmp_path / "articles", exported_model, tmp_path / "vectors", config=FP32)
    ids, vectors = read_vectors(tmp_path / "vectors")
    assert ids.tolist() == [10, 11]
    expected = load(exported_model, precision="fp32").encode(["Sepsis. It is deadly.", "Stroke."])
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_standard_input(exported_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("\n".join(TEXTS).encode())))
    encode("-", exported_model, tmp_path / "vectors", config=FP32)
    ids, vectors = read_vectors(tmp_path / "vectors")
    assert (len(ids), len(vectors)) == (10, 10)


def test_empty_input(exported_model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    encode(tmp_path / "empty.txt", exported_model, tmp_path / "vectors")
    ids, vectors = read_vectors(tmp_path / "vectors")
    assert len(ids) == 0
    assert vectors.shape == (0, 32)


def test_killed_run_goes_on_at_the_missing_shard(lines: Path, exported_model: Path, tmp_path: Path) -> None:
    goal = tmp_path / "vectors"
    code = (
        "import os, sys\n"
        "from pubvec.encoder.vectors import *\n"
        "from pubvec.progress import listen\n"
        "with listen(lambda what, n_done, n_total: n_done == 8 and os.kill(os.getpid(), 9)):\n"
        f"    encode({str(lines)!r}, {str(exported_model)!r}, {str(goal)!r},\n"
        "        config=EncodeConfig(precision='fp32', dtype='float32', texts_per_shard=4))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not goal.exists()
    partial = goal.with_name("vectors.partial")
    marks = {path.name: path.stat().st_mtime_ns for path in partial.glob("part-*.npy")}
    assert sorted(marks) == ["part-00000.npy", "part-00001.npy"]
    with pytest.raises(OutputError, match="other settings"):
        encode(lines, exported_model, goal, config=EncodeConfig())
    encode(lines, exported_model, goal, config=FP32)
    assert {name: (goal / name).stat().st_mtime_ns for name in marks} == marks
    encode(lines, exported_model, tmp_path / "again", config=FP32)
    np.testing.assert_array_equal(read_vectors(goal)[1], read_vectors(tmp_path / "again")[1])


def test_complete_output_is_refused(lines: Path, exported_model: Path, tmp_path: Path) -> None:
    encode(lines, exported_model, tmp_path / "vectors", config=FP32)
    with pytest.raises(OutputError, match="--force"):
        encode(lines, exported_model, tmp_path / "vectors", config=FP32)
    encode(lines, exported_model, tmp_path / "vectors", config=FP32, force=True)


def test_memory_holds_one_shard_of_a_stream(exported_model: Path, tmp_path: Path) -> None:
    alive = []

    def stream() -> Iterator[tuple[int, str]]:
        for number in range(50):
            alive.append(len(list(tmp_path.glob("vectors.partial/part-*.npy"))))
            yield number, TEXTS[number % 10]

    encode_to_folder(
        shard_texts(stream(), 4),
        load(exported_model),
        tmp_path / "vectors",
        inputs=[exported_model],
        config=FP32,
        n_total=50,
    )
    assert alive == [number // 4 for number in range(50)], "each shard is on disk before the next is read"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,title\n1,x\n", "no column 'text': choose one of id, title"),
        ("a.csv", "", "cannot be read as .csv: it is empty"),
        ("a.parquet", "no parquet", "cannot be read as .parquet"),
        ("a.jsonl", '{"text": "a"}\n{"text": null}\n', "line 2: .*found None"),
        ("a.jsonl", '{"text": "a"}\n{"text": ', "line 2 is not JSON"),
        ("a.jsonl", "[1]\n", "line 1: expected an object"),
        ("a.jsonl", '{"title": "a"}\n', "no column 'text'"),
        ("a.txt", b"fine\n\xff\xfe\n", "line 2 is not UTF-8"),
    ],
)
def test_bad_input(
    exported_model: Path, tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as error:
        encode(path, exported_model, tmp_path / "vectors")
    assert str(path) in str(error.value)
    assert not list(tmp_path.glob("vectors*"))


def test_missing_source(exported_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        encode(tmp_path / "nothing.txt", exported_model, tmp_path / "vectors")


def test_ids_of_a_table_are_strings_whatever_their_kind(exported_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": "x", "id": key}) + "\n" for key in (1, 2, 3, 4, "a")))
    for size in (2, 5):
        config = EncodeConfig(id_column="id", texts_per_shard=size)
        encode(path, exported_model, tmp_path / "vectors", config=config, force=True)
        assert read_vectors(tmp_path / "vectors")[0].tolist() == ["1", "2", "3", "4", "a"]


def test_ids_of_two_kinds_in_a_stream_are_refused(exported_model: Path, tmp_path: Path) -> None:
    texts = [(1, "x"), (2, "y"), ("a", "z")]
    for size in (2, 3):
        with pytest.raises(InputError, match="numbers"):
            encode_to_folder(
                shard_texts(texts, size),
                load(exported_model),
                tmp_path / "vectors",
                inputs=[exported_model],
                config=FP32,
            )


def test_damaged_folder(lines: Path, exported_model: Path, tmp_path: Path) -> None:
    goal = tmp_path / "vectors"
    with pytest.raises(InputError, match="pubvec encode"):
        read_vectors(goal)
    encode(lines, exported_model, goal, config=FP32)
    (goal / "part-00001.npy").unlink()
    with pytest.raises(InputError, match="10 texts were encoded, found 6 vectors"):
        read_vectors(goal)
    (goal / "part-00000.npy").write_bytes(b"broken")
    with pytest.raises(InputError, match="damaged"):
        read_vectors(goal)


@pytest.mark.parametrize("arguments", [{"dtype": "int4"}, {"dimensions": 0}, {"texts_per_shard": 0}])
def test_wrong_settings(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"int4|texts_per_shard|at least 1"):
        EncodeConfig(**arguments)
