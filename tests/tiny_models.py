"""Tiny real models built from a configuration: the folders a user has, small enough for every test."""

from __future__ import annotations

from pathlib import Path

TEXTS = (
    "Metformin lowers fasting glucose in adults with type 2 diabetes.",
    "A randomized trial of aspirin for the prevention of stroke in elderly patients.",
    "Expression of the tumor suppressor gene in human breast cancer cells.",
    "BACKGROUND: Resistance to antibiotics is rising. METHODS: We sampled 120 wards.",
    "Mice that lack the receptor showed impaired memory and reduced synaptic plasticity.",
    "CONCLUSIONS: Early physiotherapy shortens the hospital stay after hip fracture.",
    "Serum cytokines (IL-6, TNF-alpha) predict mortality in patients with sepsis.",
    "Is vitamin D deficiency associated with depression in postmenopausal women?",
    "The structure of the enzyme was solved at 2.1 angstrom by X-ray crystallography.",
    "Long-term outcome of children with congenital heart disease: a cohort study.",
)
"""Made-up sentences in the manner of titles and abstracts."""


def make_tiny_bert(folder: Path, *, normalize: bool = False, seed: int = 0, dim: int = 32) -> Path:
    """Save a random BERT encoder as sentence-transformers does: 32 dimensions, mean pooling, 64 tokens.

    Every folder has the same tokenizer, so tiny models can teach each other.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    make_tiny_transformer(folder, seed=seed, dim=dim)
    transformer = Transformer(str(folder), max_seq_length=64)
    modules: list[torch.nn.Module] = [transformer, Pooling(dim, "mean")]
    SentenceTransformer(modules=modules + [Normalize()] * normalize, device="cpu").save(str(folder))
    return folder


def make_tiny_transformer(folder: Path, *, seed: int = 0, dim: int = 32) -> Path:
    """Save only the transformer and its tokenizer, as the hub has a language model."""
    import torch
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    config = BertConfig(
        vocab_size=_save_tokenizer(folder),
        hidden_size=dim,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertModel(config)
        for parameter in model.parameters():  # the standard 0.02 makes all texts alike at this width
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return folder


def _save_tokenizer(folder: Path) -> int:
    """Save a WordPiece tokenizer that knows the words of `TEXTS` and spells others; returns its size.

    Not learned with a trainer, whose choice between equally frequent pieces changes from run to run.
    """
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from transformers import BertTokenizer

    normalized = BertNormalizer(lowercase=True).normalize_str(" ".join(TEXTS))
    words = {word for word, _ in BertPreTokenizer().pre_tokenize_str(normalized)}
    letters = set("".join(words) + "abcdefghijklmnopqrstuvwxyz0123456789")
    pieces = sorted(letters) + sorted(f"##{letter}" for letter in letters) + sorted(words - letters)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(vocabulary)}, model_max_length=128)
    tokenizer.save_pretrained(folder)
    return len(vocabulary)


def make_tiny_cross_encoder(folder: Path, *, n_outputs: int = 1, seed: int = 0) -> Path:
    """Save a random BERT cross-encoder: 32 dimensions, 64 tokens a pair."""
    import torch
    from sentence_transformers import CrossEncoder

    make_tiny_transformer(folder, seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CrossEncoder(str(folder), num_labels=n_outputs, max_length=64, device="cpu")
        torch.nn.init.normal_(model[0].model.classifier.weight, std=1.0)
    model.save_pretrained(str(folder))
    return folder


def make_tiny_late_interaction(folder: Path, *, seed: int = 0) -> Path:
    """Save a random late-interaction model: 8 dimensions a token, queries expanded to 16 tokens, documents cut at 24."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    make_tiny_transformer(folder, seed=seed)
    expansion = {"strategy": "fixed", "attend": False, "length": 16}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = Dense(
            32, 8, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings"
        )
    modules = [
        Transformer(str(folder), document_length=24, query_expansion=expansion),
        head,
        MultiVectorMask(skiplist_words=[".", ":"]),
        Normalize(module_input_name="token_embeddings"),
    ]
    MultiVectorEncoder(modules=modules, device="cpu").save_pretrained(str(folder))
    return folder


def make_tiny_static(folder: Path, *, seed: int = 0, normalize: bool = True) -> Path:
    """Save a random static model: the mean of a text's token vectors, 16 dimensions."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
    from tokenizers import Tokenizer

    _save_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").unlink()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules: list[torch.nn.Module] = [StaticEmbedding(tokenizer, embedding_dim=16)]
    SentenceTransformer(modules=modules + [Normalize()] * normalize, device="cpu").save(str(folder))
    return folder


def make_tiny_pylate(folder: Path, *, seed: int = 0, **settings: object) -> Path:
    """Save a random checkpoint as PyLate 1 lays it out: prefixes are tokens, all else is in one config.

    Queries of 16 tokens and documents of 24, 8 dimensions a token; `settings` replace those of the config.
    """
    import json

    import torch
    from safetensors.torch import save_file
    from transformers import AutoModel, AutoTokenizer

    make_tiny_transformer(folder, seed=seed)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    tokenizer.add_tokens(["[Q] ", "[D] "])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        weight = torch.randn(8, 32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "1_Dense").mkdir()
    save_file({"linear.weight": weight}, folder / "1_Dense" / "model.safetensors")
    dense = {"in_features": 32, "out_features": 8, "bias": False}
    modules = [("", "sentence_transformers.models.Transformer"), ("1_Dense", "pylate.models.Dense.Dense")]
    files = {
        "1_Dense/config.json": dense | {"activation_function": "torch.nn.modules.linear.Identity"},
        "modules.json": [
            {"idx": n, "name": str(n), "path": path, "type": kind} for n, (path, kind) in enumerate(modules)
        ],
        "sentence_bert_config.json": {"max_seq_length": 23, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "__version__": {"sentence_transformers": "4.0.2", "transformers": "4.48.2"},
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "MaxSim",
            "query_prefix": "[Q] ",
            "document_prefix": "[D] ",
            "query_length": 16,
            "document_length": 24,
            "attend_to_expansion_tokens": False,
            "skiplist_words": [".", ",", ":", "-"],
            **settings,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder
