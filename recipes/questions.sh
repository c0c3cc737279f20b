#!/usr/bin/env bash
# A line of pubvec-small that reads questions better. It is not released, because it loses cystic fibrosis nDCG@10 (LOG.md,
# 2026-12-01): PubMed QA 92.03 → 92.23, RR 90.14 → 91.00, held-out aspect questions 72.7 → 80.8, cystic fibrosis 52.4 → 51.4.
# Its lines were run one by one, not yet as this script. It trains the anchors alone, against the vectors that pubvec-small gives
# the candidates. Seconds are of two cores (AVX2 only) that six other people used. Every line may be killed and repeated.
# Usage: recipes/questions.sh MORE PUBMED.xml.gz...    MORE is a folder with the tables that recipes/more_tables.py reads, the
# PubMed files are three of mixed biomedicine without COVID-19. EVAL and JUDGED are folders of texts that no pair may have.
set -euo pipefail
WORK=${WORK:-work/questions}
EVAL=${EVAL:-../shared/eval}
JUDGED=${JUDGED:-../shared/judged}

more=$1; shift
python recipes/more_tables.py "$more" "$WORK/more"
exclude=(--exclude "$EVAL" --exclude "$JUDGED" --exclude "$WORK/more/dev")
# 90,000 citations: 8 s, then 74 and 80 s
pubvec parse "$@" -o "$WORK/articles"
pubvec pairs "$WORK/articles" -o "$WORK/conclusions" "${exclude[@]}" --n-negatives 1 --n-dev 1500 --mix title-conclusion=100
pubvec pairs "$WORK/articles" -o "$WORK/phrases" "${exclude[@]}" --n-negatives 1 --n-dev 1500 --seed 1 \
    --mix title-abstract=30 --mix phrases-abstract=70
# 23, 26 and 96 s. An aspect's negative is what another section says of the same condition
table() { pubvec pairs "$WORK/more/train/$1.parquet" -o "$WORK/$1" "${exclude[@]}" --n-negatives 1 --n-dev 0 "${@:2}"; }
table question_titles
table aspects --negatives-column negatives --group-column group
table plain --n-articles 1500

# 17,363 vectors of candidates 10 min, 100 steps 15 min of a machine with five other busy processes
pubvec train contrast "$WORK/aspects" "$WORK/conclusions" "$WORK/question_titles" "$WORK/phrases" "$WORK/plain" -s pubvec-small \
    -o "$WORK/asked" --source-pairs 5977 --source-pairs 3000 --source-pairs 1499 --source-pairs 1500 --source-pairs 700 \
    --fixed-candidates --n-negatives 1 --max-seq-length 96 --batch-size 128 --seed 3 --learning-rate 8e-5 --correlation-weight 2
pubvec train average "$WORK/asked" pubvec-small --share 0.75 --share 0.25 -o "$WORK/pubvec-small"

# 260 s. Choose on these, and measure EVAL once for a release
pubvec export "$WORK/pubvec-small" --texts "$WORK/phrases/train.parquet"
pubvec evaluate "$WORK/pubvec-small" pubvec-small -t question-titles -t aspects -t lay-answers -t plain-language \
    -d "$WORK/more/dev" -o "$WORK/results-dev"
pubvec evaluate "$WORK/pubvec-small" pubvec-small -t bioasq_dev -t kqa -t cochrane_lay -t med -d "$JUDGED" -o "$WORK/results-dev"
