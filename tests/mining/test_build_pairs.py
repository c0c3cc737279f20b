from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pairs_world import make_world

from makers_records import make_article
from pubvec.errors import ConfigError, InputError, OutputError
from pubvec.mining import pairs as build_pairs
from pubvec.mining.config import RULES, PairsConfig
from pubvec.mining.phrases import phrases_of
from pubvec.mining.text import clean_title, normalize, sentences_of
from pubvec.records import Article, Pair
from pubvec.tables import rows_of

Folder = Callable[..., Path]


def read(folder: Path, name: str = "train") -> list[Pair]:
    return rows_of(Pair, pq.read_table(folder / f"{name}.parquet"))


def only(rule: str, **settings: Any) -> PairsConfig:
    return PairsConfig(mix={rule: 1}, **({"similar_score": 0.4, "duplicate_score": 0.95} | settings))


def plain(article: Article) -> str:
    return " ".join((article.abstract or "").split())


def by_pmid(articles: list[Article]) -> dict[int, Article]:
    return {article.pmid: article for article in articles}


def test_title_abstract(tmp_path: Path, world: list[Article], folder_of: Folder) -> None:
    build_pairs(folder_of(world), tmp_path / "pairs", only("title-abstract"))
    articles = by_pmid(world)
    abstracts = {plain(article) for article in world}
    pairs = read(tmp_path / "pairs") + read(tmp_path / "pairs", "dev")
    assert {pair.pmid for pair in pairs} == {*articles}
    for pair in pairs:
        assert pair.rule == "title-abstract"
        assert pair.anchor == clean_title(articles[pair.pmid].title)
        assert pair.positive == plain(articles[pair.pmid])
        assert len(pair.negatives) == len({*pair.negatives, pair.positive}) - 1 == 4
        assert abstracts.issuperset(pair.negatives)


def test_title_conclusion(tmp_path: Path, world: list[Article], folder_of: Folder) -> None:
    build_pairs(folder_of(world), tmp_path / "pairs", only("title-conclusion"))
    lengths = Counter[int]()
    for pair in read(tmp_path / "pairs"):
        article = by_pmid(world)[pair.pmid]
        assert plain(article).endswith(pair.positive)
        if article.sections:
            conclusions = sentences_of(article.sections[-1].text)
            expected = conclusions if len(conclusions) <= 5 else conclusions[-3:]
            assert pair.positive == " ".join(expected)
        else:
            lengths[len(sentences_of(pair.positive))] += 1
    assert {*lengths} == {1, 2, 3}


def test_title_passage(tmp_path: Path, world: list[Article], folder_of: Folder) -> None:
    build_pairs(folder_of(world), tmp_path / "pairs", only("title-passage"))
    starts = set()
    for pair in read(tmp_path / "pairs"):
        article = by_pmid(world)[pair.pmid]
        text = " ".join(s.text for s in article.sections) or plain(article)
        sentences, passage = sentences_of(text), sentences_of(pair.positive)
        assert len(passage) == 3
        starts.add(sentences.index(passage[0]))
        assert " ".join(passage) in " ".join(sentences)
        assert all(len(sentences_of(negative)) == 3 for negative in pair.negatives)
    assert starts >= {0, 1, 2, 3, 4}


def test_phrases_abstract(tmp_path: Path, world: list[Article], folder_of: Folder) -> None:
    build_pairs(folder_of(world), tmp_path / "pairs", only("phrases-abstract"))
    pairs = read(tmp_path / "pairs")
    assert len(pairs) > 20
    for pair in pairs:
        article = by_pmid(world)[pair.pmid]
        assert pair.positive == plain(article)
        words, title = pair.anchor.split(), iter(re.findall(r"[\w-]+", article.title))
        assert all(word in title for word in words), "words of the title in its order"
        assert 2 <= len(words) < len(article.title.split())
        assert not {"of", "on", "the", "in", "and"} & {*words}


@pytest.mark.parametrize(
    ("title", "phrases"),
    [
        ("COVID-19 (SARS-CoV-2): what about Japan?", ["COVID-19", "SARS-CoV-2", "Japan"]),
        ("Effects of the losartan trial on IL-6", ["Effects", "losartan trial", "IL-6"]),
        ("The and of - ...", []),
    ],
)
def test_phrases_lie_between_stop_words_and_punctuation(title: str, phrases: list[str]) -> None:
    assert phrases_of(title) == phrases


def test_section_section(tmp_path: Path, world: list[Article], folder_of: Folder) -> None:
    build_pairs(folder_of(world), tmp_path / "pairs", only("section-section"))
    pairs = read(tmp_path / "pairs")
    structured = {article.pmid for article in world if article.sections}
    assert {pair.pmid for pair in pairs} <= structured
    seen = set()
    for pair in pairs:
        texts = {s.text: s.label for s in by_pmid(world)[pair.pmid].sections}
        seen.add((texts[pair.anchor], texts[pair.positive]))
    assert seen == {*itertools.permutations(["AIMS", "RESULTS", "CONCLUSIONS"], 2)}


def test_similar_title(tmp_path: Path, world: list[Article], folder_of: Folder) -> None:
    twin = make_world(1, seed=77)[0]._replace(
        pmid=9001, title="Effect of zanwort and zanroot on old voles: a trial"
    )
    copy = make_world(1, seed=78)[0]._replace(
        pmid=9002, title="Effect of zanwort and zanroot on old voles: trials"
    )
    build_pairs(
        folder_of([*world, twin, copy]),
        tmp_path / "pairs",
        only("similar-title", duplicate_score=0.6, n_dev=0),
    )
    pairs = read(tmp_path / "pairs")
    titles = {clean_title(article.title) for article in world}
    assert len(pairs) > 20
    assert titles.issuperset(pair.positive for pair in pairs if pair.pmid < 9000)
    assert all(pair.anchor != pair.positive for pair in pairs)
    assert not any({twin.title, copy.title} == {pair.anchor, pair.positive} for pair in pairs), (
        "nearly the same"
    )
    for pair in pairs:
        shared = {*normalize(pair.anchor).split()} & {*normalize(pair.positive).split()}
        assert shared - {"effect", "of", "on", "the", "in", "study"}


def test_mix_and_pairs_per_article(tmp_path: Path, folder_of: Folder) -> None:
    articles = folder_of(make_world(600))
    build_pairs(articles, tmp_path / "one", PairsConfig(n_dev=0))
    rules = Counter(pair.rule for pair in read(tmp_path / "one"))
    assert rules.total() == 600
    assert (
        rules["title-abstract"]
        > rules["title-conclusion"]
        > rules["title-passage"]
        > rules["section-section"]
        > 0
    )
    build_pairs(articles, tmp_path / "all", PairsConfig(n_dev=0, pairs_per_article=5))
    pairs = read(tmp_path / "all")
    assert max(Counter((pair.pmid, pair.rule) for pair in pairs).values()) == 1
    assert Counter(pair.rule for pair in pairs)["title-passage"] == 600
    manifest = build_pairs(
        articles, tmp_path / "few", PairsConfig(n_dev=0, mix={"title-passage": 1, "title-abstract": 0})
    )
    assert manifest.counts["train"]["rules"] == dict.fromkeys(RULES, 0) | {"title-passage": 600}


def test_negatives_are_near_but_not_similar(tmp_path: Path, world: list[Article], folder_of: Folder) -> None:
    config = only("title-abstract", n_dev=0, negative_ranks=(1, 20), similar_score=0.55)
    manifest = build_pairs(folder_of(world), tmp_path / "pairs", config)
    title_of = {plain(article): {*normalize(article.title).split()} for article in world}
    n_shared = [
        len(({*normalize(pair.anchor).split()} & title_of[negative]) - {"effect", "of", "on", "the", "in"})
        for pair in read(tmp_path / "pairs")
        for negative in pair.negatives
    ]
    assert sum(n_shared) / len(n_shared) > 1.0
    assert manifest.counts["train"]["n_random_negatives"] < 0.1 * len(n_shared)


def test_negatives_are_drawn_at_random_where_no_title_is_near(tmp_path: Path, folder_of: Folder) -> None:
    articles = [a._replace(title=f"Alpha{i} beta{i} gamma{i}") for i, a in enumerate(make_world(12))]
    manifest = build_pairs(folder_of(articles), tmp_path / "pairs", PairsConfig(n_dev=0))
    assert manifest.counts["train"]["n_random_negatives"] == 12 * 4
    for pair in read(tmp_path / "pairs"):
        assert len({*pair.negatives, pair.positive}) == 5


def test_dev_and_train_share_no_article_and_no_title(tmp_path: Path, folder_of: Folder) -> None:
    world = make_world(300)
    world += [
        article._replace(pmid=article.pmid + 5000, title=article.title.upper()) for article in make_world(300)
    ]
    config = PairsConfig(n_dev=25, pairs_per_article=5)
    manifest = build_pairs(folder_of(world), tmp_path / "pairs", config)
    assert manifest.counts["unusable"] == {"same title or abstract as an article before": 300}
    assert manifest.counts["dev"]["n_articles"] == 25
    texts = []
    for name in ("dev", "train"):
        pairs = read(tmp_path / "pairs", name)
        texts.append(
            {normalize(text) for pair in pairs for text in (pair.anchor, pair.positive, *pair.negatives)}
        )
    assert not texts[0] & texts[1]
    assert (
        build_pairs(tmp_path / "articles", tmp_path / "p2", PairsConfig(n_dev=1000)).counts["dev"][
            "n_articles"
        ]
        == 30
    )


def test_same_seed_same_bytes(tmp_path: Path, world: list[Article], folder_of: Folder) -> None:
    articles = folder_of(world[:90], world[90:])
    for name, seed in (("a", 4), ("b", 4), ("c", 5)):
        build_pairs(articles, tmp_path / name, PairsConfig(seed=seed, n_articles=120, max_per_shard=80))
    content = {
        name: [(tmp_path / name / f"{f}.parquet").read_bytes() for f in ("train", "dev")] for name in "abc"
    }
    assert content["a"] == content["b"]
    assert content["a"][0] != content["c"][0]


def test_sample_and_balance(tmp_path: Path, folder_of: Folder) -> None:
    articles = folder_of(make_world(200), make_world(40, seed=1, first_pmid=5000))
    build_pairs(articles, tmp_path / "a", PairsConfig(n_articles=50, n_dev=0))
    assert len({pair.pmid for pair in read(tmp_path / "a")}) == 50
    build_pairs(articles, tmp_path / "b", PairsConfig(max_per_shard=30, n_dev=0))
    assert Counter(pair.pmid >= 5000 for pair in read(tmp_path / "b")) == {False: 30, True: 30}


def test_nothing_excluded_is_left_not_even_in_negatives(
    tmp_path: Path, world: list[Article], folder_of: Folder
) -> None:
    titles = tmp_path / "eval" / "titles.txt"
    titles.parent.mkdir()
    titles.write_text("\n".join(article.title.upper().replace(" ", "  ") for article in world[:20]))
    (tmp_path / "eval" / "pmids.csv").write_text("pmid,x\n" + "".join(f"{a.pmid},1\n" for a in world[15:40]))
    text = " ".join(plain(world[50]).split()[10:22])
    (tmp_path / "text.txt").write_text(f"It is said, {text}, and so on.\n{plain(world[51])}\n")
    config = PairsConfig(pairs_per_article=5, n_dev=10)
    manifest = build_pairs(
        folder_of(world), tmp_path / "pairs", config, exclude=[tmp_path / "eval", tmp_path / "text.txt"]
    )

    assert manifest.counts["n_leaked"] == 42
    assert manifest.counts["leaked_by_first_rule"] == {"pmid": 25, "title": 15, "abstract": 1, "shingle": 1}
    assert manifest.counts["leaked_by_each_rule"]["title"] == 20
    assert manifest.counts["excluded"]["pmids.csv:pmid"] == {"n_rows": 25, "n_rows_found": 25}
    assert manifest.counts["excluded"]["text.txt:line"] == {"n_rows": 2, "n_rows_found": 2}
    assert {*manifest.inputs} == {"articles", "eval", "text.txt"}
    gone = [*world[:40], world[50], world[51]]
    written = "\n".join(
        text
        for f in ("train", "dev")
        for p in read(tmp_path / "pairs", f)
        for text in (p.anchor, p.positive, *p.negatives)
    )
    for article in gone:
        assert clean_title(article.title) not in written
        assert not any(sentence in written for sentence in sentences_of(plain(article)))
    assert clean_title(world[60].title) in written


def test_unusable_articles_are_counted(tmp_path: Path, world: list[Article], folder_of: Folder) -> None:
    odd = [
        make_article(1, "[Not Available].", plain(world[0])),
        make_article(2, "Two words.", plain(world[1])),
        make_article(3, "No abstract at all here.", None),
        make_article(4, "A short abstract is here.", "Too short for anything."),
        make_article(
            5, "This one is in German.", "Die Lebern von zehn kleinen Tieren wurden einzeln gewogen. " * 8
        ),
        make_article(
            6, "Mostly boilerplate is here.", "Shrews were fed. Funding: " + "the Ministry of Shrews and " * 9
        ),
    ]
    manifest = build_pairs(folder_of([*world[:60], *odd]), tmp_path / "pairs")
    assert manifest.counts["unusable"] == dict.fromkeys(
        ["no abstract", "no title", "not English", "short abstract", "short title"], 1
    )
    assert manifest.counts["n_articles_used"] == 60
    assert manifest.counts["n_articles"] == 66


def test_errors(tmp_path: Path, world: list[Article], folder_of: Folder) -> None:
    articles = folder_of(world[:20])
    with pytest.raises(InputError, match="pubvec parse"):
        build_pairs(tmp_path / "none", tmp_path / "pairs")
    with pytest.raises(InputError, match="does not exist"):
        build_pairs(articles, tmp_path / "pairs", exclude=[tmp_path / "missing.txt"])
    with pytest.raises(InputError, match="may yield pairs: expected more than"):
        build_pairs(articles, tmp_path / "pairs", PairsConfig(n_articles=3))
    assert not (tmp_path / "pairs").exists()
    assert not (tmp_path / "pairs.partial").exists()
    build_pairs(articles, tmp_path / "pairs")
    with pytest.raises(OutputError, match="--force"):
        build_pairs(articles, tmp_path / "pairs")
    build_pairs(articles, tmp_path / "pairs", force=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_articles": 0},
        {"max_per_shard": -1},
        {"pairs_per_article": 0},
        {"pairs_per_article": 7},
        {"mix": {"title-body": 1}},
        {"mix": {"title-abstract": 0}},
        {"mix": {"title-abstract": 2, "title-passage": -1}},
        {"n_negatives": -1},
        {"negative_ranks": (0, 3)},
        {"negative_ranks": (9, 3)},
        {"similar_score": 0.9},
        {"similar_score": 0.0},
        {"n_dev": -1},
        {"min_title_words": 0},
        {"seed": -1},
    ],
)
def test_settings_outside_of_their_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(settings))}: expected .*, found "):
        PairsConfig(**settings)
