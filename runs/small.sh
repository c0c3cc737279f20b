#!/usr/bin/env bash
# The released pubvec-small, on two CPU cores and 24 GB without a GPU: 2½ hours. Every line may be killed and repeated.
# Usage: runs/small.sh PUBMED.xml.gz...    EVAL and FULLTEXT name folders; without them nothing is excluded, and the
# second phase has no full texts.
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
