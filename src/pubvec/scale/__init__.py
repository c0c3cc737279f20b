"""Beyond one machine: PubMed's files over a Ray cluster, and what a run costs, on paper."""
