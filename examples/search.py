"""Search PubMed records from Python: `python search.py MODEL`. The three records are made up."""

import sys
import tempfile
from pathlib import Path

import pubvec

model = sys.argv[1] if len(sys.argv) > 1 else "pubvec-small"
records = {
    1: "Metformin and lactic acidosis in chronic kidney disease: a cohort study.",
    2: "Low-dose aspirin after a first ischemic stroke: a randomized trial.",
    3: "Statins and muscle pain in older adults.",
}
article = (
    "<PubmedArticle><MedlineCitation><PMID>{}</PMID><Article><ArticleTitle>{}</ArticleTitle>"
    "</Article></MedlineCitation></PubmedArticle>"
)
with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    articles = "".join(article.format(pmid, title) for pmid, title in records.items())
    (work / "records.xml").write_text(f"<PubmedArticleSet>{articles}</PubmedArticleSet>")
    pubvec.parse([work / "records.xml"], work / "articles")
    pubvec.index(work / "articles", model, work / "index")

    searcher = pubvec.Searcher(work / "index", model)
    for hit in searcher.search("does aspirin prevent a second stroke", 2):
        print(f"{hit.cosine:.2f}  {hit.title}  {hit.url}")
    for hit in searcher.search('"lactic acidosis"', filters=pubvec.Filters(not_retracted=True)):
        print(f"{hit.cosine:.2f}  {hit.title}  {hit.url}")
