#!/usr/bin/env bash
# What a GPU added to pubvec-small: an H200 of which 6 minutes trained, several lines beside one another (LOG.md, 2026-11-27).
# Seconds are those lines' own. Usage: recipes/gpu.sh ONTOLOGIES PUBMED.xml.gz...
# ONTOLOGIES as for recipes/ontology_pairs.py; the PubMed files are three of mixed biomedicine and one that is mostly COVID-19.
set -euo pipefail
WORK=${WORK:-work/gpu}
EVAL=${EVAL:-../shared/eval}
FULLTEXT=${FULLTEXT:-../shared/fulltext/article_abstract_train.parquet}
RELEASED=${RELEASED:-work/release/pubvec-small}   # what recipes/small.sh makes

export XLA_PYTHON_CLIENT_PREALLOCATE=false   # bm25s opens JAX where it is installed, which takes three quarters of a GPU
ontologies=$1; shift
pubvec models --fetch minilm --fetch mpnet
pubvec parse "$@" -o "$WORK/articles"
python recipes/ontology_pairs.py "$ontologies" "$WORK/ontology.parquet"
# 107,394 citations, 396,000 pairs: 77 s
pubvec pairs "$WORK/articles" -o "$WORK/pairs" --pairs-per-article 4 --n-dev 3000 --n-negatives 3 --exclude "$EVAL" \
    --mix title-abstract=35 --mix title-conclusion=30 --mix title-passage=20 --mix phrases-abstract=40 \
    --mix section-section=10 --mix similar-title=10
pubvec pairs "$WORK/ontology.parquet" -o "$WORK/ontology" --n-dev 500 --exclude "$EVAL"
pubvec pairs "$FULLTEXT" -o "$WORK/fulltext" --anchor-column article --positive-column abstract --n-dev 500 \
    --n-articles 4800 --exclude "$EVAL"
pairs=("$WORK/pairs" "$WORK/ontology" "$WORK/fulltext")

# good on pairs, and on questions of lay people: 219,618 pairs, 140 s
pubvec train contrast "${pairs[@]}" -s minilm -o "$WORK/plain" --n-pairs 150000 --seed 5 --batch-size 512 \
    --learning-rate 2e-4 --correlation-weight 2

# by way of a teacher: 31,082 pairs, 55 s; then 26,468 pairs twice, 48 s, and their vectors before that, 18 s
pubvec train contrast "${pairs[@]}" -s mpnet -o "$WORK/pubvec-base" --n-pairs 13391 --max-seq-length 256 \
    --batch-size 256 --learning-rate 5e-5 --matryoshka-dims 384 --correlation-weight 1
pubvec train average "$WORK/pubvec-base" mpnet --share 0.7 --share 0.3 -o "$WORK/teacher"
pubvec train align "${pairs[@]}" -s minilm -t "$WORK/teacher" -o "$WORK/aligned" --n-pairs 11084 --n-epochs 2 \
    --max-seq-length 320 --batch-size 256 --learning-rate 2e-4
# and contrastive after it: 58,388 pairs, 49 s, and 84,300, 51 s
pubvec train contrast "${pairs[@]}" -s "$WORK/aligned" -o "$WORK/small1" --n-pairs 27044 --seed 1 --batch-size 512 \
    --learning-rate 2e-4 --correlation-weight 2
pubvec train contrast "${pairs[@]}" -s "$WORK/small1" -o "$WORK/small3" --n-pairs 40000 --seed 6 --batch-size 512 \
    --learning-rate 1.5e-4 --correlation-weight 2

# on two CPU cores: 1, 1 and 12 min. The calibration's pairs are of the same held-out articles, by the rules that are searches
pubvec train average "$RELEASED" "$WORK/plain" "$WORK/small3" "$WORK/aligned" -o "$WORK/pubvec-small"
pubvec export "$WORK/pubvec-small" --texts "$WORK/pairs/train.parquet"
pubvec pairs "$WORK/articles" -o "$WORK/pairs_default" --pairs-per-article 3 --n-dev 3000 --exclude "$EVAL"
pubvec calibrate "$WORK/pubvec-small" --pairs "$WORK/pairs_default"
pubvec evaluate "$WORK/pubvec-small" -t pubmed-qa -t title-abstract -t article-abstract -t cysticfibrosis \
    -t pubmed-qa-retrieval -t pubmed-qa-contexts -t liveqa -t medquad -d "$EVAL" -o "$WORK/results"
pubvec release "$WORK/pubvec-small" -o "$WORK/models/pubvec-small" --name pubvec-small --results "$WORK/results" \
    --stage "$WORK/pairs" --stage "$WORK/ontology" --stage "$WORK/fulltext" --stage "$RELEASED" --stage "$WORK/plain" \
    --stage "$WORK/aligned" --stage "$WORK/small1" --stage "$WORK/small3" \
    --attribution "Names and definitions of Mondo, Uberon and the Cell Ontology (CC BY) and of EFO (Apache-2.0) are among them."
