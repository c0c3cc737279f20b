"""The formulas of a plan against figures worked out by hand, and against files that were made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pubvec.cli import run
from pubvec.encoder.flops import ModelShape
from pubvec.errors import ConfigError, InputError
from pubvec.files import json_ready
from pubvec.scale.planning import INDEX_KINDS, REFERENCE, Constants, plan

SMALL = ModelShape(n_layers=6, dim=384, inner_dim=1536)
MACHINE = Constants(
    n_cores=2,
    max_seq_length=512,
    tokens=300,
    squared_tokens=300**2,
    xml_bytes=1200,
    articles_bytes=600,
    vectors_bytes=780,
    index_bytes=2000,
    parse_start_s=1,
    parse_s=1e-4,
    encode_start_s=1,
    flop_per_core_s=30e9,
    index_start_s=2,
    index_s=2e-4,
)


@pytest.mark.parametrize(
    ("length", "flop"), [(25, 5.4e8), (128, 2.9e9), (256, 6.0e9), (300, 7.2e9), (512, 1.33e10)]
)
def test_operations_of_a_text(length: int, flop: float) -> None:
    assert SMALL.count_flops(length, length**2) == pytest.approx(flop, rel=0.02)


def test_all_of_pubmed() -> None:
    found = plan(38_000_000, MACHINE, SMALL)
    assert found.n_tokens == 1.14e10
    assert found.n_flop == pytest.approx(2.74e17, rel=0.01)
    assert found.core_hours["encode"] == pytest.approx(2530, rel=0.01)
    assert found.seconds["encode"] / 86_400 == pytest.approx(53, rel=0.01)
    assert found.gpu_hours["a100"] == pytest.approx(0.76, rel=0.01)
    assert found.core_hours["parse"] == pytest.approx(38e6 * 1e-4 / 3600)
    assert found.folder_bytes["vectors/"] == 38e6 * 780
    assert found.seconds["all"] == pytest.approx(
        sum(found.seconds[name] for name in ("parse", "encode", "index"))
    )


def test_a_file_is_parsed_by_one_core() -> None:
    one, two, three = (plan(n, MACHINE, SMALL).seconds["parse"] for n in (30_000, 60_000, 90_000))
    assert (one, two) == (1 + 3, 1 + 3)
    assert three == 1 + 6
    many = replace(MACHINE, n_cores=100)
    assert plan(900_000, many, SMALL).seconds["parse"] == 1 + 3


def test_twice_the_articles_cost_twice() -> None:
    one, two = plan(10**6, MACHINE, SMALL), plan(2 * 10**6, MACHINE, SMALL)
    assert two.n_flop == 2 * one.n_flop
    assert two.seconds["index"] - MACHINE.index_start_s == 2 * (one.seconds["index"] - MACHINE.index_start_s)
    assert one.update_s == two.update_s


@pytest.mark.parametrize(
    ("kind", "factory"),
    [
        ("float32, flat", "Flat"),
        ("float16, flat", "SQfp16"),
        ("int8 (SQ8)", "SQ8"),
        ("4 bits (SQ4)", "SQ4"),
        ("PQ48", "PQ48x8np"),
        ("of that in memory: 1 bit", "RaBitQ"),
        ("HNSW, 32 links, int8", "HNSW32_SQ8"),
    ],
)
def test_bytes_of_index_kinds_are_those_of_faiss(kind: str, factory: str) -> None:
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(1)  # on a busy machine its threads wait for each other
    vectors = np.random.default_rng(0).normal(size=(1000, 384)).astype(np.float32)
    metric = faiss.METRIC_INNER_PRODUCT if factory == "RaBitQ" else faiss.METRIC_L2
    index = faiss.index_factory(384, factory, metric)
    index.train(vectors)

    def size(n: int) -> int:
        copy = faiss.clone_index(index)
        copy.add(vectors[:n])
        return len(faiss.serialize_index(copy))

    has_id = factory not in (
        "RaBitQ",
        "HNSW32_SQ8",
    )  # a flat index keeps no ids; an inverted file adds 8 bytes
    bits, beside = INDEX_KINDS[kind]
    measured = (size(1000) - size(500)) / 500 + 8 * has_id
    assert measured == pytest.approx(bits * 384 / 8 + beside, rel=0.08)


def test_the_command_reads_what_the_bench_wrote(tmp_path: Path, tiny_model: Path, capsys) -> None:
    path = tmp_path / "bench-plan.json"
    path.write_text(json.dumps({"constants": json_ready(MACHINE)}))
    command = ["plan", "-a", "1e6", "--machine", str(path), "-m", str(tiny_model)]
    assert run([*command, "--json", "--cores", "64"]) == 0
    found = json.loads(capsys.readouterr().out)
    shape = ModelShape.read(tiny_model)
    assert found == json.loads(json.dumps(plan(1_000_000, replace(MACHINE, n_cores=64), shape).to_json()))
    assert run(command) == 0
    assert "| vectors/ | 780.0 MB |" in capsys.readouterr().out


def test_wrong_requests(tmp_path: Path, tiny_model: Path, capsys) -> None:
    with pytest.raises(ConfigError, match="1 article or more"):
        plan(0, MACHINE, SMALL)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match=r"benchmarks\.plan"):
        Constants.read(tmp_path / "x.json")
    for wrong in ("many", "1.5", "nan", "inf", "1e999999999", ""):
        assert run(["plan", "-a", wrong, "-m", str(tiny_model)]) == 1
    assert capsys.readouterr().err.count("articles is a whole number") == 6


def test_the_reference_is_the_published_bench() -> None:
    results = Path(__file__).parents[2] / "results" / "bench-plan.json"
    assert REFERENCE.read_bytes() == results.read_bytes(), "copy results/bench-plan.json over it"
