"""A model folder in txtai, as the published card has it: `python txtai_card.py MODEL`."""

import sys

import txtai

from pubvec.encoder import resolve

model = resolve(sys.argv[1] if len(sys.argv) > 1 else "pubvec-small")
embeddings = txtai.Embeddings(path=str(model), content=True)
embeddings.index(
    ["Metformin lowers blood glucose.", "Aspirin prevents strokes.", "Malaria spreads by mosquitoes."]
)
for hit in embeddings.search("a drug against diabetes", 1):
    print(f"cosine {hit['score']:.3f}  {hit['text']}")
