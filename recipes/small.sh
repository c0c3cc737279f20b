#!/usr/bin/env bash
# The released pubvec-small, on two CPU cores and 24 GB without a GPU: 2½ hours. Every line may be killed and repeated.
# What each step gave, and what was tried and left out: LOG.md, 2026-11-27.
# Usage: recipes/small.sh PUBMED.xml.gz...    the first three of mixed biomedicine. EVAL is a folder, FULLTEXT a table of
# (article, abstract).
set -euo pipefail
WORK=${WORK:-work/release}
EVAL=${EVAL:-../shared/eval}
FULLTEXT=${FULLTEXT:-../shared/fulltext/article_abstract_train.parquet}

pubvec models --fetch minilm
# 137,394 citations: 6 s, then 94 s
pubvec parse "$@" -o "$WORK/articles"
pubvec pairs "$WORK/articles" -o "$WORK/pairs" --pairs-per-article 3 --n-dev 3000 --exclude "$EVAL"
# good on pairs: 120,000 pairs at 128 tokens, in-batch negatives and correlation: 938 steps, 64 min
pubvec train contrast "$WORK/pairs" -s minilm -o "$WORK/small1" --n-pairs 120000 --max-seq-length 128

# good at retrieval: half of it MiniLM again, then 51,200 pairs with phrases as queries, without the COVID-19 files: 50 min
pubvec train average "$WORK/small1" minilm -o "$WORK/averaged0"
pubvec parse "${@:1:3}" -o "$WORK/articles3"
pubvec pairs "$WORK/articles3" -o "$WORK/pairs2" --n-dev 3000 --exclude "$EVAL" --mix title-abstract=25 \
    --mix title-conclusion=25 --mix title-passage=15 --mix phrases-abstract=45 --mix section-section=10 --mix similar-title=10
pubvec train contrast "$WORK/pairs2" -s "$WORK/averaged0" -o "$WORK/small2" --n-pairs 51200 --seed 2 --max-seq-length 128 \
    --learning-rate 5e-5 --correlation-weight 2

# both, at 512 tokens with full texts: 1,600 pairs of each kind, 12 min
pubvec train average "$WORK/small1" "$WORK/small2" -o "$WORK/averaged1"
pubvec pairs "$FULLTEXT" -o "$WORK/fulltext" --anchor-column article --positive-column abstract --n-dev 500 \
    --exclude "$EVAL"
pubvec train contrast "$WORK/pairs2" "$WORK/fulltext" -s "$WORK/averaged1" -o "$WORK/small4" --n-pairs 1600 --seed 3 \
    --batch-size 48 --learning-rate 3e-5 --correlation-weight 2
pubvec train average "$WORK/small4" "$WORK/small2" minilm --share 0.5 --share 0.35 --share 0.15 -o "$WORK/pubvec-small"

# 30 s, 2 min and 5 min
pubvec export "$WORK/pubvec-small" --texts "$WORK/pairs/train.parquet"
pubvec calibrate "$WORK/pubvec-small" --pairs "$WORK/pairs"
pubvec evaluate "$WORK/pubvec-small" -t pubmed-qa -t title-abstract -t article-abstract -t cysticfibrosis \
    -t pubmed-qa-retrieval -t pubmed-qa-contexts -t liveqa -d "$EVAL" -o "$WORK/results"
pubvec release "$WORK/pubvec-small" -o "$WORK/models/pubvec-small" --name pubvec-small --results "$WORK/results" \
    --stage "$WORK/pairs" --stage "$WORK/small1" --stage "$WORK/pairs2" --stage "$WORK/small2" --stage "$WORK/averaged1" \
    --stage "$WORK/fulltext" --stage "$WORK/small4"
