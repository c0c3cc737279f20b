import subprocess
import sys

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from pubvec.training.config import TrainConfig
from pubvec.training.loop import open_model
from tiny_models import TEXTS


def narrow(tiny_model, kind=SentenceTransformer, **options):
    return open_model(kind, tiny_model, TrainConfig(precision="bf16"), device="cpu", **options)


def dtypes_inside(model, layer) -> set[torch.dtype]:
    """The types of the hidden states that the encoder layers hand on."""
    seen = set()
    handles = [
        module.register_forward_hook(
            lambda _m, _i, out: seen.add((out[0] if isinstance(out, tuple) else out).dtype)
        )
        for name, module in model.named_modules()
        if type(module).__name__ == layer
    ]
    assert handles
    inputs = model.tokenizer(list(TEXTS[:2]), padding=True, return_tensors="pt")
    with torch.autocast("cpu", torch.bfloat16):
        out = model(dict(inputs)) if isinstance(model, SentenceTransformer) else model.model(**inputs)
    for handle in handles:
        handle.remove()
    seen.add(out["sentence_embedding"].dtype if isinstance(model, SentenceTransformer) else torch.float32)
    return seen


def test_hidden_states_are_narrow_and_the_embedding_is_not(tiny_model):
    model = narrow(tiny_model)
    assert dtypes_inside(model, "BertLayer") == {torch.bfloat16, torch.float32}
    plain = SentenceTransformer(str(tiny_model), device="cpu")
    assert dtypes_inside(plain, "BertOutput") == {torch.float32}


def test_a_cross_encoder_is_narrow_too(tiny_model):
    model = narrow(tiny_model, CrossEncoder, num_labels=1)
    assert torch.bfloat16 in dtypes_inside(model, "BertLayer")


def test_narrow_vectors_and_gradients_are_those_of_float32(tiny_model):
    texts = list(TEXTS)
    wide = open_model(SentenceTransformer, tiny_model, TrainConfig(precision="fp32"), device="cpu")
    gradients = []
    for model, is_narrow in ((wide, False), (narrow(tiny_model), True)):
        inputs = model.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16, enabled=is_narrow):
            vectors = torch.nn.functional.normalize(model(dict(inputs))["sentence_embedding"], dim=1)
        ((vectors @ vectors.T) ** 2).sum().backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).numpy()
        )
    cosine = gradients[0] @ gradients[1] / np.linalg.norm(gradients[0]) / np.linalg.norm(gradients[1])
    assert cosine > 0.99


def test_outside_of_autocast_nothing_changes(tiny_model):
    plain = SentenceTransformer(str(tiny_model), device="cpu")
    np.testing.assert_allclose(narrow(tiny_model).encode(TEXTS), plain.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize(("dropout", "expected"), [(None, 0.0), (0.2, 0.2)])
def test_dropout_is_that_of_the_config(tiny_model, dropout, expected):
    model = open_model(SentenceTransformer, tiny_model, TrainConfig(dropout=dropout), device="cpu")
    found = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert found == {expected}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are read as Linux counts them")
def test_freed_memory_is_kept():
    # Not through numpy, which asks for huge pages, of which there are too few to count.
    script = """
import ctypes, resource, sys
from pubvec.training.precision import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(64 << 20)))
    libc.memset(block, 1, ctypes.c_size_t(64 << 20))
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = {
        option: int(
            subprocess.run([sys.executable, "-c", script, option], capture_output=True, check=True).stdout
        )
        for option in ("keep", "default")
    }
    assert faults["keep"] < faults["default"] / 2
