from __future__ import annotations

import gzip
import html
import random
import re
import string
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pubvec.mining.exclude import Source, read_sources
from pubvec.mining.leakage import SHINGLE_WORDS, Excluded, hash_texts

WORDS = [a + b for a in "bdfgk" for b in ("ala", "elo", "imu", "onta", "ura", "ynx2")]
EVALUATION = " ".join(random.Random(3).choices(WORDS, k=40))
OTHER = [f"other{i}" for i in range(30)]


def excluded(*texts: str, pmids: tuple[int, ...] = ()) -> Excluded:
    return Excluded([Source("file:text", 10, [(t, i) for i, t in enumerate(texts)], [(p, 0) for p in pmids])])


def fires(
    excluded: Excluded, *, pmid: int = 1, title: str = "a title", abstract: str = "an abstract"
) -> list[bool]:
    row: list[bool] = excluded.find(np.array([pmid]), [title], [abstract]).fires[0].tolist()
    return row


def test_each_rule_alone() -> None:
    control = excluded("A short text", EVALUATION, pmids=(77,))
    assert fires(control) == [False, False, False, False]
    assert fires(control, pmid=77) == [True, False, False, False]
    assert fires(control, title="a short, text.") == [False, True, False, False]
    assert fires(control, abstract="A SHORT TEXT!") == [False, False, True, False]
    assert fires(control, title=EVALUATION) == [False, True, False, True]
    assert fires(control, abstract=f"new {EVALUATION}") == [False, False, False, True]
    assert fires(control, title="", abstract="—") == [False, False, False, False]


def test_first_rule_and_rows_found() -> None:
    control = excluded("nothing of it", "a short text", EVALUATION, pmids=(77,))
    findings = control.find(np.array([1, 77, 3]), ["t", "a short text", "u"], ["v", "w", EVALUATION])
    assert findings.first_rule.tolist() == [-1, 0, 2]
    assert findings.rows.tolist() == [0, 1, 2]
    assert control.counts(findings.rows) == {"file:text": {"n_rows": 10, "n_rows_found": 3}}


def test_nothing_excluded_finds_nothing() -> None:
    assert fires(Excluded([])) == [False, False, False, False]


def disturb(text: str, rng: random.Random) -> str:
    """`text` with other case, punctuation and white space between its words."""
    change = [str.upper, str.lower, str.capitalize, str.title]
    gaps = [" ", "  ", "\n", "\t", ", ", ". ", "; (", ") – ", " / ", "\u2009", "\u00a0", "-", "_", " “", "” "]
    return "".join(rng.choice(change)(word) + rng.choice(gaps) for word in text.split())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 28), st.integers(0, 12), st.integers(0, 12), st.randoms(use_true_random=False))
def test_twelve_words_are_always_found_however_they_are_written(
    start: int, before: int, after: int, rng: random.Random
) -> None:
    piece = " ".join(EVALUATION.split()[start : start + SHINGLE_WORDS])
    abstract = " ".join([*OTHER[:before], disturb(piece, rng), *OTHER[15 : 15 + after]])
    assert fires(excluded(EVALUATION), abstract=abstract)[3]
    assert fires(excluded(EVALUATION), title=abstract)[3]
    assert fires(excluded(disturb(EVALUATION, rng)), abstract=abstract)[3]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 29), st.integers(1, 12), st.integers(1, 12))
def test_eleven_words_are_not_found(start: int, before: int, after: int) -> None:
    piece = EVALUATION.split()[start : start + SHINGLE_WORDS - 1]
    abstract = " ".join([*OTHER[:before], *piece, *OTHER[15 : 15 + after]])
    assert not any(fires(excluded(EVALUATION), abstract=abstract))


def test_words_of_two_texts_make_no_shingle() -> None:
    words = EVALUATION.split()[:SHINGLE_WORDS]
    control = excluded(EVALUATION)
    findings = control.find(
        np.array([1, 2]), [" ".join(words[:6]), "t"], [" ".join(words[6:]), " ".join(words[:11])]
    )
    assert not findings.fires.any()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "bb", "ç", "d9", "e"]), max_size=30), min_size=1, max_size=8))
def test_hashes_agree_exactly_where_words_agree(texts: list[list[str]]) -> None:
    hashes = hash_texts([" ".join(words) for words in texts])
    whole = [" ".join(words) for words in texts]
    assert (
        len({*zip(whole, hashes.whole.tolist(), strict=True)})
        == len({*whole})
        == len({*hashes.whole.tolist()})
    )
    shingles = [
        (number, " ".join(words[i : i + SHINGLE_WORDS]))
        for number, words in enumerate(texts)
        for i in range(len(words) - SHINGLE_WORDS + 1)
    ]
    assert hashes.text_of_shingle.tolist() == [number for number, _ in shingles]
    named = {*zip((text for _, text in shingles), hashes.shingles.tolist(), strict=True)}
    assert len(named) == len({text for _, text in shingles}) == len({*hashes.shingles.tolist()})


def test_hashes_do_not_depend_on_the_batch() -> None:
    rng = random.Random(5)
    texts = ["".join(rng.choices(string.ascii_lowercase + "  ", k=rng.randint(0, 3000))) for _ in range(2000)]
    together = hash_texts(texts)
    for number in (0, 700, 1999):
        alone = hash_texts([texts[number]])
        assert alone.whole[0] == together.whole[number]
        assert np.array_equal(alone.shingles, together.shingles[together.text_of_shingle == number])
    assert together.whole.max() > 1 << 32


def iter_abstracts(file: Path) -> Iterator[str]:
    """Abstracts of a PubMed file without mark-up inside of them, without our parser."""
    text = gzip.decompress(file.read_bytes()).decode()
    for match in re.finditer(r"<AbstractText>(.*?)</AbstractText>", text, re.S):
        yield html.unescape(match[1])


def test_the_evaluation_abstracts_in_the_shared_collection_are_found(shared: Path) -> None:
    """974 abstracts occur in pubmed/, told by their first 60 letters; three of its files hold so many."""
    control = Excluded(read_sources([shared / "eval" / "article_abstract.parquet"]))
    rows: set[int] = set()
    for file in sorted((shared / "pubmed").glob("*.xml.gz"))[:3]:
        abstracts = list(iter_abstracts(file))
        rows.update(control.find(np.zeros(len(abstracts)), [""] * len(abstracts), abstracts).rows.tolist())
    counts = control.counts(np.array(sorted(rows)))
    assert counts["article_abstract.parquet:abstract"]["n_rows_found"] >= 974
