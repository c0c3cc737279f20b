#!/usr/bin/env bash
# The whole family from all of PubMed, on one GPU with 80 GB or several (put `torchrun --nproc-per-node N -m` in place of
# the first word of a train line). Not run as it stands: a GPU was at hand for six minutes of training (recipes/gpu.sh), and what it did
# a second is in LOG.md, 2026-11-27. Costs are on paper: tokens × 6 × parameters of the layers at 40 % of an H100's 989 TFLOP/s
# in bfloat16. Models as small as these are far from that: MiniLM alone did a 25th of it (1,360 pairs/s, 170 tokens each).
# Usage: recipes/full.sh    (add --engine ray --address auto to parse and train scores to spread them over a cluster)
set -euo pipefail
WORK=${WORK:-work/full}
EVAL=${EVAL:-../shared/eval}

pubvec models --fetch minilm --fetch mpnet
# 1,270 files of the baseline, 45 GB: some hours at a pace that is polite to NLM's server
pubvec download "$WORK/pubmed"
# 38 million citations, 26 million abstracts: `pubvec plan --articles 38e6 --cores 16`
pubvec parse "$WORK"/pubmed/*.xml.gz -o "$WORK/articles"
# 1,550 articles/s on two cores (results/bench-pairs.json): 1½ h for the 8 million drawn, and the screening of all
pubvec pairs "$WORK/articles" -o "$WORK/pairs" --n-articles 8000000 --pairs-per-article 3 --n-dev 10000 --exclude "$EVAL"

# the teacher: 109M parameters, 8M pairs at 256 tokens: 50 min
pubvec train contrast "$WORK/pairs" -s mpnet -o "$WORK/pubvec-base" --n-pairs 8000000 --max-seq-length 256 \
    --batch-size 512 --learning-rate 5e-5 --matryoshka-dims 384
# the reranker: 4M pairs with two hard negatives and a random one, 512 tokens: 2 h
pubvec train reranker "$WORK/pairs" -b "$WORK/pubvec-base" -o "$WORK/pubvec-reranker" --n-pairs 4000000
# its logits of 2M queries: 25 min
pubvec train scores "$WORK/pairs" -r "$WORK/pubvec-reranker" -o "$WORK/scores" --n-pairs 2000000
# language models of the field, from scratch: small 25 min, nano 5 min
pubvec train pretrain "$WORK/pairs" -o "$WORK/language-model" --architecture bert --hidden-size 384 --n-layers 6 \
    --n-heads 12 --intermediate-size 1536 --batch-size 512 --learning-rate 5e-4 --n-epochs 3
pubvec train pretrain "$WORK/pairs" -o "$WORK/nano-language-model" --batch-size 512 --n-epochs 3

# pubvec-small in two steps, 512 tokens: 30 and 20 min; and nano likewise: 15 min
pubvec train align "$WORK/pairs" -t "$WORK/pubvec-base" -s "$WORK/language-model" -o "$WORK/aligned" --n-pairs 8000000
pubvec train contrast "$WORK/scores" -s "$WORK/aligned" -o "$WORK/pubvec-small" --batch-size 256 --n-epochs 2
pubvec train align "$WORK/pairs" -t "$WORK/pubvec-small" -s "$WORK/nano-language-model" -o "$WORK/nano-aligned" \
    --n-pairs 8000000
pubvec train contrast "$WORK/scores" -s "$WORK/nano-aligned" -o "$WORK/pubvec-nano" --batch-size 256 --n-epochs 2
# late interaction from pubvec-small: 10 min
pubvec train colbert "$WORK/scores" -s "$WORK/pubvec-small" -o "$WORK/pubvec-colbert"

tasks=(-t pubmed-qa -t title-abstract -t article-abstract -t cysticfibrosis -t pubmed-qa-retrieval)
for name in base small nano; do
    pubvec export "$WORK/pubvec-$name" --texts "$WORK/pairs/train.parquet"
    pubvec calibrate "$WORK/pubvec-$name" --pairs "$WORK/pairs"
    pubvec evaluate "$WORK/pubvec-$name" "${tasks[@]}" -d "$EVAL" -o results/
done
pubvec evaluate "$WORK/pubvec-reranker" "${tasks[@]}" -d "$EVAL" -o results/ --first-stage "$WORK/pubvec-small"
pubvec evaluate "$WORK/pubvec-colbert" "${tasks[@]}" -d "$EVAL" -o results/ --query-length 512

pubvec release "$WORK/pubvec-base" -o models/pubvec-base --name pubvec-base --stage "$WORK/pairs" \
    --base-model sentence-transformers/all-mpnet-base-v2
pubvec release "$WORK/pubvec-reranker" -o models/pubvec-reranker --name pubvec-reranker --stage "$WORK/pairs" \
    --stage "$WORK/pubvec-base" --base-model sentence-transformers/all-mpnet-base-v2
pubvec release "$WORK/pubvec-small" -o models/pubvec-small --name pubvec-small --stage "$WORK/pairs" \
    --stage "$WORK/language-model" --stage "$WORK/aligned" --stage "$WORK/scores"
pubvec release "$WORK/pubvec-nano" -o models/pubvec-nano --name pubvec-nano --stage "$WORK/pairs" \
    --stage "$WORK/nano-language-model" --stage "$WORK/nano-aligned" --stage "$WORK/scores"
pubvec release "$WORK/pubvec-colbert" -o models/pubvec-colbert --name pubvec-colbert --stage "$WORK/pairs" \
    --stage "$WORK/scores" --stage "$WORK/pubvec-small"
