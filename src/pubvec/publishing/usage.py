"""How a released model is used, by kind and library. The tests run every block of code."""

from __future__ import annotations

from collections.abc import Mapping

from pubvec.encoder import ModelType

_TEXTS = """\
texts = ["Metformin lowers blood glucose.", "A drug against type 2 diabetes.", "The fossils of Messel."]"""

_PUBVEC = """\
import pubvec

{texts}
encoder = pubvec.load("{name}")  # int8 on a CPU, without torch
vectors = encoder.encode(texts)
print(encoder.similarity(texts[:1], texts[1:], calibrated=True))  # probabilities"""

_SENTENCE_TRANSFORMERS = """\
from sentence_transformers import SentenceTransformer

{texts}
model = SentenceTransformer("{hub_name}")
vectors = model.encode(texts, normalize_embeddings=True)
print(vectors @ vectors.T)"""

_TRANSFORMERS = """\
import torch
from transformers import AutoModel, AutoTokenizer

{texts}
tokenizer = AutoTokenizer.from_pretrained("{hub_name}")
model = AutoModel.from_pretrained("{hub_name}")
inputs = tokenizer(texts, padding=True, truncation=True, max_length={max_seq_length}, return_tensors="pt")
with torch.inference_mode():
    tokens = model(**inputs).last_hidden_state
{pooling}
print(vectors @ vectors.T)"""

_POOLING = {
    "mean": """\
mask = inputs["attention_mask"].unsqueeze(-1)
vectors = torch.nn.functional.normalize((tokens * mask).sum(1) / mask.sum(1))""",
    "cls": "vectors = torch.nn.functional.normalize(tokens[:, 0])",
}
"""How a bi-encoder makes a vector of the vectors of its tokens."""

_TXTAI = """\
import txtai

{texts}
embeddings = txtai.Embeddings(path="{hub_name}", content=True)
embeddings.index(texts)
print(embeddings.search("treatment of diabetes", 1))"""

_CROSS_ENCODER = """\
from sentence_transformers import CrossEncoder

{texts}
model = CrossEncoder("{hub_name}")
print(model.predict([("treatment of diabetes", text) for text in texts]))  # probabilities"""

_PUBVEC_SCORER = """\
from pubvec.encoder import load_scorer

{texts}
scorer = load_scorer("{name}")
print(scorer.score([("treatment of diabetes", text) for text in texts]))"""

_MULTI_VECTOR = """\
from sentence_transformers import MultiVectorEncoder

{texts}
model = MultiVectorEncoder("{hub_name}")
queries, documents = model.encode_query(["treatment of diabetes"]), model.encode_document(texts)
print(model.similarity(queries, documents))"""

_BLOCKS: Mapping[ModelType, Mapping[str, str]] = {
    "bi-encoder": {
        "pubvec": _PUBVEC,
        "sentence-transformers": _SENTENCE_TRANSFORMERS,
        "transformers": _TRANSFORMERS,
        "txtai": _TXTAI,
    },
    "cross-encoder": {"pubvec": _PUBVEC_SCORER, "sentence-transformers": _CROSS_ENCODER},
    "late interaction": {"pubvec": _PUBVEC_SCORER, "sentence-transformers": _MULTI_VECTOR},
}


_REGISTER_BERT_HASH = (
    "import pubvec.encoder.bert_hash  # lets transformers open BERT Hash without remote code\n"
)


def usage_of(
    kind: ModelType,
    hub_name: str,
    name: str,
    *,
    is_bert_hash: bool = False,
    pooling: str = "mean",
    max_seq_length: int = 512,
) -> str:
    """A block of code for each library, as Markdown.

    Args:
        kind: of the model.
        hub_name: the hub repository or the folder that other libraries open.
        name: the name or the folder that pubvec opens.
        is_bert_hash: whether other libraries need pubvec's module of this architecture.
        pooling: of a bi-encoder: mean or cls.
        max_seq_length: the number of tokens that a bi-encoder reads.
    """
    blocks = []
    for library, template in _BLOCKS[kind].items():
        code = template.format(
            texts=_TEXTS,
            hub_name=hub_name,
            name=name,
            pooling=_POOLING[pooling],
            max_seq_length=max_seq_length,
        )
        if is_bert_hash and library != "pubvec":
            code = _REGISTER_BERT_HASH + code
        blocks.append(f"With {library}:\n\n```python\n{code}\n```\n")
    return "\n".join(blocks)
