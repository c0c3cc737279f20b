"""Both encoders keep the promises of `Encoder.encode`."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from pubvec.encoder import Encoder, load
from pubvec.encoder.batching import Batcher, Compute
from pubvec.encoder.onnx_encoder import OnnxEncoder
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.encoder.tokenizing import TextTokenizer
from pubvec.encoder.torch_encoder import TorchEncoder
from pubvec.errors import InputError
from pubvec.machine import count_cores
from tiny_models import TEXTS, make_tiny_bert

BACKENDS = (("torch", None), ("onnx", "fp32"), ("onnx", "int8"))
ODD_TEXTS = ("", "   ", "\n\t", "x", "zero \x00 byte", "naïve β-blocker ☃ 𝔘", "stroke " * 40)


@pytest.fixture(params=BACKENDS, ids=lambda choice: "-".join(filter(None, choice)))
def encoder(request: pytest.FixtureRequest, exported_model: Path) -> TextEncoder:
    backend, precision = request.param
    return load(exported_model, backend=backend, precision=precision)


def test_vectors_are_those_of_sentence_transformers(encoder: Encoder, exported_model: Path) -> None:
    texts = [*TEXTS, *ODD_TEXTS]
    expected = SentenceTransformer(str(exported_model), device="cpu").encode(texts)
    vectors = encoder.encode(texts, normalize_embeddings=False)
    assert vectors.dtype == np.float32
    if _is_int8(encoder, exported_model):
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
        assert ((vectors * expected).sum(axis=1) / lengths).min() > 0.98
    else:
        np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_vectors_have_unit_length_unless_told_otherwise(encoder: Encoder) -> None:
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS), axis=1), 1, atol=1e-6)
    assert (np.linalg.norm(encoder.encode(TEXTS, normalize_embeddings=False), axis=1) > 1.1).all()


def test_vectors_do_not_depend_on_the_batch(encoder: Encoder, exported_model: Path) -> None:
    texts = [*TEXTS, *ODD_TEXTS] * 4
    random.Random(0).shuffle(texts)
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    if isinstance(encoder, OnnxEncoder):
        np.testing.assert_array_equal(together, alone)
    else:
        assert (together * alone).sum(axis=1).min() > 0.999999


def test_tokens_that_were_made_before_give_the_same_vectors(encoder: TextEncoder) -> None:
    texts = [*TEXTS, *ODD_TEXTS]
    tokens = encoder.tokenize(texts)
    np.testing.assert_allclose(
        encoder.encode_tokens(tokens), encoder.encode(texts, normalize_embeddings=False), atol=1e-6
    )
    assert encoder.encode_tokens([]).shape == (0, encoder.dim)
    each = encoder.encode_each_token(tokens)
    assert [vectors.shape for vectors in each] == [(len(ids), encoder.dim) for ids in tokens]


def test_token_ids_are_completed_cut_and_checked(encoder: TextEncoder) -> None:
    tokenizer, limit = encoder.tokenizer, encoder.max_seq_length
    assert limit is not None
    (whole,) = tokenizer.encode(["stroke " * 2 * limit])
    first, last = whole[:1], whole[-1:]
    assert tokenizer.cut(whole) == whole[: limit - 1] + last
    assert tokenizer.cut(whole, "left") == first + whole[-limit + 1 :]
    assert tokenizer.complete(whole[1:-1]) == tokenizer.complete(whole) == whole
    assert tokenizer.complete([]) == first + last
    with pytest.raises(InputError, match="token 99999999 is not of this model"):
        tokenizer.complete([99999999])


def test_streams_of_any_length_keep_their_order(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pubvec.encoder.batching.CHUNK_SIZE", 3)

    def stream() -> Iterator[str]:
        yield from TEXTS

    vectors = encoder.encode(stream())
    assert vectors.shape == (len(TEXTS), 32)
    assert [len(chunk) for chunk in encoder.iter_encode(stream())] == [3, 3, 3, 1]
    np.testing.assert_allclose((vectors * encoder.encode(TEXTS[::-1])[::-1]).sum(axis=1), 1, atol=5e-3)


def test_no_texts(encoder: Encoder) -> None:
    for nothing in ([], iter(())):
        vectors = encoder.encode(nothing)
        assert vectors.shape == (0, 32)
        assert vectors.dtype == np.float32


def test_empty_text_is_defined(encoder: Encoder) -> None:
    vectors = encoder.encode(["", " ", "\n"])
    assert np.isfinite(vectors).all()
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_lone_surrogate_counts_as_question_mark(encoder: Encoder) -> None:
    vectors = encoder.encode(["bad \ud800 text", "bad ? text"])
    np.testing.assert_array_equal(vectors[0], vectors[1])


@pytest.mark.parametrize("wrong", [None, float("nan"), b"bytes", 7, ["list"]])
def test_what_is_not_text_is_named_with_its_position(encoder: Encoder, wrong: object) -> None:
    with pytest.raises(InputError, match=rf"text 2 .*expected a string.*{type(wrong).__name__}"):
        encoder.encode(["a", "b", wrong, "c"])  # type: ignore[list-item]


def test_one_string_is_not_a_list_of_letters(encoder: Encoder) -> None:
    with pytest.raises(InputError, match=r"write encode\(\[text\]\)"):
        encoder.encode("sepsis")


def test_truncation_is_counted_and_reported_once(encoder: Encoder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        vectors = encoder.encode(["stroke " * 62, "stroke " * 63, "stroke " * 100_000, "short"])
    assert [record.getMessage() for record in caplog.records] == ["2 of 4 texts were cut at 64 tokens"]
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-6)


def test_model_that_normalizes(tmp_path: Path) -> None:
    model = make_tiny_bert(tmp_path / "unit", normalize=True)
    vectors = load(model).encode(TEXTS, normalize_embeddings=False)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_default_prompt_is_put_before_every_text(exported_model: Path, tmp_path: Path) -> None:
    import json
    import shutil

    folder = shutil.copytree(exported_model, tmp_path / "prompted")
    path = folder / "config_sentence_transformers.json"
    settings = json.loads(path.read_text()) | {"prompts": {"q": "trial "}, "default_prompt_name": "q"}
    path.write_text(json.dumps(settings))
    plain = load(exported_model, precision="fp32").encode(["trial stroke"])
    for backend in ("onnx", "torch"):
        prompted = load(folder, backend=backend, precision="fp32").encode(["stroke"])
        np.testing.assert_allclose(prompted, plain, atol=1e-5)


def test_live_model_may_change_between_calls(tiny_model: Path) -> None:
    encoder = TorchEncoder(SentenceTransformer(str(tiny_model), device="cpu"), name="student")
    long = encoder.encode(["stroke " * 40])
    encoder.model.max_seq_length = 10
    np.testing.assert_allclose(encoder.encode(["stroke " * 40]), encoder.encode(["stroke " * 8]), atol=1e-6)
    assert (encoder.encode(["stroke " * 40]) * long).sum() < 0.999
    encoder.model.prompts, encoder.model.default_prompt_name = {"q": "trial "}, "q"
    prompted = encoder.encode(["stroke"])
    encoder.model.default_prompt_name = None
    np.testing.assert_allclose(prompted, encoder.encode(["trial stroke"]), atol=1e-6)


def test_a_loaded_model_is_not_in_training(tiny_model: Path) -> None:
    """Else threads that encode at once would switch dropout on for each other."""
    assert not load(tiny_model, backend="torch").model.training


def test_live_model_goes_on_training(tiny_model: Path) -> None:
    model = SentenceTransformer(str(tiny_model), device="cpu")
    model.train()
    vectors = TorchEncoder(model, name="student").encode(TEXTS)
    assert model.training
    np.testing.assert_allclose(vectors, load(tiny_model).encode(TEXTS), atol=1e-6)


def make_batcher(folder: Path, n_most: int, *, is_padded: bool = True) -> Batcher:
    tokenizer = TextTokenizer(Tokenizer.from_file(str(folder / "tokenizer.json")), max_seq_length=64)
    return Batcher(tokenizer, tokens_per_batch=n_most, is_padded=is_padded)


@pytest.mark.parametrize("is_padded", [False, True])
def test_batches_fit_their_budget_and_are_padded_or_not(tiny_model: Path, is_padded: bool) -> None:
    masks = []

    def forward(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        assert input_ids.shape == attention_mask.shape
        assert attention_mask.sum(axis=1).max() == input_ids.shape[1]
        masks.append(attention_mask)
        return attention_mask.sum(axis=1, keepdims=True).astype(np.float32)

    batcher, texts = make_batcher(tiny_model, 100, is_padded=is_padded), list(TEXTS) * 5
    with ThreadPoolExecutor(2) as pool:
        compute = Compute(forward, forward, lambda: pool)
        lengths = np.concatenate(list(batcher.iter_vectors(texts, compute, 1)))[:, 0]
    assert lengths.tolist() == [len(ids) for ids in batcher.tokenize(texts)]
    assert sum(len(mask) for mask in masks) == 50
    assert all(len(mask) == 1 or mask.size <= 100 for mask in masks)
    assert any(not mask.all() for mask in masks) == is_padded


def test_next_chunk_is_tokenized_while_one_is_computed(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pubvec.encoder.batching.CHUNK_SIZE", 2)
    batcher, read = make_batcher(tiny_model, 64), []
    second_is_read = threading.Event()

    def stream() -> Iterator[str]:
        for number, text in enumerate(TEXTS[:6]):
            read.append(number)
            if number == 3:
                second_is_read.set()
            yield text

    def forward(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        assert second_is_read.wait(10), "the first chunk is computed before the second is read"
        return np.zeros((len(input_ids), 1), np.float32)

    with ThreadPoolExecutor(1) as pool:
        vectors = batcher.iter_vectors(stream(), Compute(forward, forward, lambda: pool), 1)
        assert len(next(vectors)) == 2
        assert read == [0, 1, 2, 3], "never more than two chunks are in memory"
        assert len(list(vectors)) == 2


def test_error_of_a_batch_reaches_the_caller(tiny_model: Path) -> None:
    def forward(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        raise MemoryError("no memory")

    with ThreadPoolExecutor(2) as pool, pytest.raises(MemoryError):
        compute = Compute(forward, forward, lambda: pool)
        list(make_batcher(tiny_model, 64).iter_vectors(list(TEXTS) * 5, compute, 1))


def test_truncated_texts_are_named_on_request(encoder: TextEncoder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        encoder.encode(["short", "stroke " * 63, "stroke " * 1000], show_truncated=True)
        encoder.encode(["stroke " * 70] * 12, show_truncated=True)
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "2 of 3 texts were cut at 64 tokens: text 1 (65 tokens), text 2 (1,002 tokens)"
    assert second.startswith("12 of 12 texts were cut at 64 tokens: text 0 (72 tokens), text 1")
    assert second.endswith("text 9 (72 tokens), 2 more")


def test_progress_is_drawn_on_request_on_a_terminal_only(
    encoder: TextEncoder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder.encode(TEXTS, show_progress_bar=True)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    encoder.encode(iter(TEXTS), show_progress_bar=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "texts" in err


def test_usable_cores() -> None:
    assert count_cores() >= 1


def _is_int8(encoder: Encoder, folder: Path) -> bool:
    reference = load(folder, precision="fp32").encode(TEXTS)
    return bool(np.abs(encoder.encode(TEXTS) - reference).max() > 1e-4)
