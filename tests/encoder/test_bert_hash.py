import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import AutoConfig, AutoModel, BertConfig, BertModel

from pubvec.conversion import export
from pubvec.encoder import load
from pubvec.encoder.bert_hash import BertHashConfig, BertHashModel
from pubvec.errors import InputError
from tiny_models import TEXTS, make_tiny_transformer


@pytest.fixture(scope="module")
def tiny_hash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT Hash encoder in sentence-transformers layout."""
    folder = make_tiny_transformer(tmp_path_factory.mktemp("models") / "tiny-hash")
    config = json.loads((folder / "config.json").read_text())
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    torch.manual_seed(0)
    model = BertHashModel(
        BertHashConfig(projections=4, max_position_embeddings=128, **{name: config[name] for name in names})
    )
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    modules = [Transformer(str(folder), max_seq_length=64), Pooling(32, "mean")]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


@pytest.mark.parametrize(
    ("sizes", "projections", "n_parameters"), [((128, 2, 2, 512), 16, 969_632), ((80, 2, 2, 320), 8, 448_336)]
)
def test_published_models_have_as_many_parameters(sizes, projections, n_parameters):
    hidden, layers, heads, intermediate = sizes
    config = BertHashConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate,
        projections=projections,
    )
    assert sum(parameter.numel() for parameter in BertHashModel(config).parameters()) == n_parameters


def test_it_is_bert_with_the_table_multiplied_out(tiny_hash):
    ours = AutoModel.from_pretrained(tiny_hash).eval()
    plain = BertModel(BertConfig(**{**ours.config.to_dict(), "model_type": "bert"})).eval()
    table = ours.embeddings.word_embeddings
    weights = {name: value for name, value in ours.state_dict().items() if ".word_embeddings." not in name}
    weights["embeddings.word_embeddings.weight"] = table.projections(table.embeddings.weight)
    plain.load_state_dict(weights)
    ids = torch.tensor([[2, 8, 9, 10, 3]])
    with torch.inference_mode():
        torch.testing.assert_close(ours(ids).last_hidden_state, plain(ids).last_hidden_state)


def test_a_folder_needs_no_remote_code(tiny_hash):
    assert "auto_map" not in json.loads((tiny_hash / "config.json").read_text())
    assert type(AutoConfig.from_pretrained(tiny_hash)).__name__ == "BertHashConfig"
    model = SentenceTransformer(str(tiny_hash), device="cpu", trust_remote_code=False)
    assert isinstance(model[0].auto_model, BertHashModel)
    assert model.encode(TEXTS).shape == (10, 32)


def test_saved_weights_are_loaded_again(tiny_hash, tmp_path):
    first = AutoModel.from_pretrained(tiny_hash)
    first.save_pretrained(tmp_path)
    second = AutoModel.from_pretrained(tmp_path)
    assert first.state_dict().keys() == second.state_dict().keys()
    assert "embeddings.word_embeddings.projections.bias" in second.state_dict()
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[name])


def test_the_exported_graph_gives_the_same_vectors(tiny_hash, tmp_path):
    folder = shutil.copytree(tiny_hash, tmp_path / "tiny-hash")
    report = export(folder)
    assert report.fp32.min_cosine > 0.99999
    with load(folder, backend="torch") as by_torch, load(folder, precision="fp32") as by_onnx:
        np.testing.assert_allclose(by_torch.encode(TEXTS), by_onnx.encode(TEXTS), atol=1e-5)


def test_others_remote_code_is_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "remote")
    (folder / "modeling_own.py").write_text("raise SystemExit('remote code ran')")
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoModel": "modeling_own.OwnModel", "AutoConfig": "modeling_own.OwnConfig"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": auto_map}))
    with pytest.raises(InputError, match="needs code of its own"):
        load(folder, backend="torch")
