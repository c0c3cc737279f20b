"""The texts of the encoder benches."""

from __future__ import annotations

import random

from pubvec.collection import Collection
from pubvec.errors import InputError

_SIZES = {"titles": 1000, "abstracts": 1000, "long": 200}


def draw_texts(articles: str) -> dict[str, list[str]]:
    """Titles and abstracts of the same random articles, and texts longer than a model's window of 512."""
    titles, abstracts = [], []
    for table in Collection(articles).iter_tables(["title", "abstract"]):
        for title, abstract in zip(*(column.to_pylist() for column in table.columns), strict=True):
            if title and abstract:
                titles.append(title)
                abstracts.append(abstract)
    n_articles = _SIZES["abstracts"] + 2 * _SIZES["long"]
    if len(titles) < n_articles:
        raise InputError(
            f"{articles} has {len(titles)} articles with abstracts: this bench needs {n_articles}"
        )
    chosen = random.Random(0).sample(range(len(titles)), n_articles)  # noqa: S311
    rest = [abstracts[i] for i in chosen[_SIZES["abstracts"] :]]
    joined = [" ".join(rest[i :: _SIZES["long"]]) for i in range(_SIZES["long"])]
    return {
        "titles": [titles[i] for i in chosen[: _SIZES["titles"]]],
        "abstracts": [abstracts[i] for i in chosen[: _SIZES["abstracts"]]],
        "long": [" ".join([text] * 4) for text in joined],
    }
