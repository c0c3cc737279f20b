"""The texts on which encoders are measured."""

from __future__ import annotations

import random

from pubvec.collection import Collection
from pubvec.errors import InputError

SIZES = {"titles": 1000, "abstracts": 1000, "long": 200}
"""How many texts of each kind are drawn."""


def draw_texts(articles: str) -> dict[str, list[str]]:
    """Draw titles and abstracts of the same random articles, and make texts longer than a model's window of 512.

    Raises:
        InputError: the folder has too few articles with abstracts.
    """
    titles, abstracts = [], []
    for table in Collection(articles).iter_tables(["title", "abstract"]):
        for title, abstract in zip(*(column.to_pylist() for column in table.columns), strict=True):
            if title and abstract:
                titles.append(title)
                abstracts.append(abstract)
    n_articles = SIZES["abstracts"] + 2 * SIZES["long"]
    if len(titles) < n_articles:
        raise InputError(
            f"{articles} has {len(titles)} articles with abstracts: this benchmark needs {n_articles}"
        )
    chosen = random.Random(0).sample(range(len(titles)), n_articles)
    rest = [abstracts[i] for i in chosen[SIZES["abstracts"] :]]
    joined = [" ".join(rest[i :: SIZES["long"]]) for i in range(SIZES["long"])]
    return {
        "titles": [titles[i] for i in chosen[: SIZES["titles"]]],
        "abstracts": [abstracts[i] for i in chosen[: SIZES["abstracts"]]],
        "long": [" ".join([text] * 4) for text in joined],
    }
