#!/usr/bin/env bash
# A candidate for pubvec-small on two CPU cores and 24 GB, without a GPU: 2½ hours. Every line may be killed and repeated.
# It gains on pairs and loses at retrieval (LOG.md), so what it makes is not released.
# Usage: runs/small.sh PUBMED.xml.gz...    EVAL is a folder, FULLTEXT a table of (article, abstract).
set -euo pipefail
WORK=${WORK:-work/release}
EVAL=${EVAL:-../shared/eval}
FULLTEXT=${FULLTEXT:-../shared/fulltext/article_abstract_train.parquet}

pubvec models --fetch minilm
# 137,394 citations: 6 s, then 94 s
pubvec parse "$@" -o "$WORK/articles"
pubvec pairs "$WORK/articles" -o "$WORK/pairs" --pairs-per-article 3 --n-dev 3000 --exclude "$EVAL"
# 120,000 pairs at 128 tokens, in-batch negatives and correlation: about 6 s a step of 128, 938 steps
pubvec train contrast "$WORK/pairs" -s minilm -o "$WORK/short" --n-pairs 120000 --max-seq-length 128
# a shorter phase at 512 tokens with full texts: 1,200 pairs of each kind, 5 min
pubvec pairs "$FULLTEXT" -o "$WORK/fulltext" --anchor-column article --positive-column abstract --n-dev 500 \
    --exclude "$EVAL"
pubvec train contrast "$WORK/pairs" "$WORK/fulltext" -s "$WORK/short" -o "$WORK/pubvec-small" --n-pairs 1200 --seed 1 \
    --batch-size 48 --learning-rate 3e-5
# 30 s, 2 min and 2 min
pubvec export "$WORK/pubvec-small" --texts "$WORK/pairs/train.parquet"
pubvec calibrate "$WORK/pubvec-small" --pairs "$WORK/pairs"
pubvec evaluate "$WORK/pubvec-small" -t pubmed-qa -t title-abstract -t article-abstract -t cysticfibrosis \
    -t pubmed-qa-retrieval -d "$EVAL" -o "$WORK/results"
