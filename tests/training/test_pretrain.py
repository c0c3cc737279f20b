import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertForMaskedLM

from pubvec import progress
from pubvec.encoder.bert_hash import BertHashModel
from pubvec.errors import ConfigError, InputError
from pubvec.files import read_manifest
from pubvec.training.config import PretrainConfig
from pubvec.training.pretraining import MaskedLanguageModel, make_blocks, pretrain
from pubvec.training.vocabulary import count_tokens, learn_vocabulary, make_tokenizer

TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "projections": 8,
    "n_positions": 64,
    "max_seq_length": 24,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "precision": "fp32",
    "mask_fraction": 0.3,
}


@pytest.fixture(scope="module")
def made(pairs: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("pretrain") / "lm"
    config = PretrainConfig(vocab_size=200, n_epochs=2, **TINY)
    pretrain(pairs, output, compared_with=str(tiny_model), config=config)
    return output


def test_it_learns_to_predict_masked_tokens(pairs, tiny_model, tmp_path):
    config = PretrainConfig(n_epochs=60, **TINY)
    options = {"tokenizer": str(tiny_model), "compared_with": str(tiny_model)}
    counts = pretrain(pairs, tmp_path / "lm", config=config, **options).counts
    assert counts["loss_last"] < 0.8 * counts["loss_first"]
    assert counts["accuracy_last"] > counts["accuracy_first"] + 0.05


SAME_BYTES = """
import hashlib, sys
from pathlib import Path
from pubvec.training.config import PretrainConfig
from pubvec.training.pretraining import pretrain
pairs, other, output = sys.argv[1:]
sizes = dict(hidden_size=16, n_layers=1, n_heads=2, intermediate_size=32, vocab_size=200, n_positions=32)
config = PretrainConfig(n_epochs=2, batch_size=8, max_seq_length=24, precision="fp32", **sizes)
pretrain(pairs, output, compared_with=other, config=config)
for name in ("tokenizer.json", "model.safetensors"):
    print(hashlib.sha256((Path(output) / name).read_bytes()).hexdigest())
"""


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(pairs, tiny_model, tmp_path):
    """Every process draws other hash seeds, in Python and in the library that learns the vocabulary."""
    hashes = set()
    for number, n_threads in enumerate("121"):
        environment = {**os.environ, "RAYON_NUM_THREADS": n_threads, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", SAME_BYTES, str(pairs), str(tiny_model), str(tmp_path / str(number))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        hashes.add(done.stdout)
    assert len(hashes) == 1


LEARN = """
import sys
from pubvec.training.vocabulary import learn_vocabulary
syllables = ["ba", "bé", "du", "fi", "go", "ka", "lu", "mi", "no", "pu", "ré", "so", "ti", "wu", "ya", "zé"]
words = [a + b + c for a in syllables for b in syllables for c in syllables]
print(*learn_vocabulary([" ".join(words[start:start + 64]) for start in range(0, len(words), 64)] * 2, 900))
"""


@pytest.mark.slow
def test_equally_frequent_pieces_come_in_one_order():
    """All pairs of syllables are equally frequent: nearly every choice is a tie."""
    learned = [
        subprocess.run([sys.executable, "-c", LEARN], capture_output=True, text=True, check=True)
        for _ in range(4)
    ]
    pieces = learned[0].stdout.split()
    assert len({run.stdout for run in learned}) == 1
    assert len(pieces) == 900 == len(set(pieces))


def test_it_is_a_student_to_start_from(made):
    model = SentenceTransformer(str(made), device="cpu")
    assert isinstance(model[0].auto_model, BertHashModel)
    assert model.max_seq_length == 64
    assert model.encode(["aspirin"]).shape == (1, 32)
    assert {path.name for path in made.iterdir()} & {"vocabulary.json", "checkpoints"} == set()


def test_a_vocabulary_of_the_field_takes_fewer_tokens(made, tiny_model):
    tokens = read_manifest(made, made_by="train pretrain").counts["tokens_per_text"]
    assert tokens["own"] < tokens[str(tiny_model)]


def test_bert_with_the_tokenizer_of_another(pairs, tiny_model, tmp_path):
    config = PretrainConfig(architecture="bert", n_epochs=2, **TINY)
    pretrain(pairs, tmp_path / "lm", tokenizer=str(tiny_model), compared_with=str(tiny_model), config=config)
    written = json.loads((tmp_path / "lm" / "config.json").read_text())
    assert written["model_type"] == "bert"
    ours, theirs = (
        SentenceTransformer(str(path), device="cpu").tokenizer for path in (tmp_path / "lm", tiny_model)
    )
    assert ours.get_vocab() == theirs.get_vocab()


def test_a_stopped_training_resumes_exactly(pairs, tiny_model, tmp_path):
    config = PretrainConfig(n_epochs=2, checkpoint_s=0.001, **TINY)
    options = {"tokenizer": str(tiny_model), "compared_with": str(tiny_model), "config": config}
    pretrain(pairs, tmp_path / "whole", **options)

    def stop(what: str, n_done: int, n_total: int | None) -> None:
        if what == "pretrain steps" and n_done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), progress.listen(stop):
        pretrain(pairs, tmp_path / "stopped", **options)
    made = pretrain(pairs, tmp_path / "stopped", **options)
    assert made.counts["resumed_at_step"] == 5
    expected, actual = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "stopped"))
    for name, weights in expected.items():
        np.testing.assert_array_equal(actual[name], weights, err_msg=name)


def test_loss_is_that_of_the_library():
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    theirs = BertForMaskedLM(BertConfig(intermediate_size=64, **sizes)).eval()
    ours = MaskedLanguageModel(theirs.bert, PretrainConfig(architecture="bert", hidden_size=32)).eval()
    head = theirs.cls.predictions
    with torch.no_grad():
        head.decoder.bias.copy_(torch.randn(50))
        ours.bias.copy_(head.decoder.bias)
        ours.transform[0].load_state_dict(head.transform.dense.state_dict())
        ours.transform[2].load_state_dict(head.transform.LayerNorm.state_dict())
    ids = torch.randint(5, 50, (3, 12))
    labels = torch.where(torch.rand(3, 12) < 0.5, ids, -100)
    expected = theirs(input_ids=ids, labels=labels).loss
    torch.testing.assert_close(ours(ids, labels)["loss"], expected, rtol=1e-4, atol=1e-4)


def test_blocks_hold_every_token_in_order():
    pieces = learn_vocabulary(["aspirin helps", "aspirin harms"] * 3, 100)
    tokenizer = make_tokenizer(pieces, 64)
    texts = [f"aspirin helps {'harms ' * number}" for number in range(20)]
    blocks = make_blocks(tokenizer, texts, 8)
    assert set(blocks[:, 0]) == {tokenizer.cls_token_id}
    ids = [[*row, tokenizer.sep_token_id] for row in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    stream = [token for row in ids for token in row]
    assert blocks[:, 1:].ravel().tolist() == stream[: blocks[:, 1:].size]
    assert len(stream) - blocks[:, 1:].size < 7


def test_a_learned_vocabulary_has_the_words_and_spells_the_rest():
    pieces = learn_vocabulary(["Metformin lowers glucose"] * 5, 200)
    tokenizer = make_tokenizer(pieces, 64)
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.tokenize("METFORMIN lowers") == ["metformin", "lowers"]
    assert count_tokens(tokenizer, ["metformin lowers", "glucose"]) == 1.5
    assert "[UNK]" not in tokenizer.tokenize("glue")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 30, "n_heads": 4}, "hidden_size must be a multiple of n_heads = 4, not 30"),
        ({"max_seq_length": 1024}, "max_seq_length must lie between 4 and n_positions = 512, not 1024"),
        ({"architecture": "gpt"}, "architecture must be one of bert, bert_hash, not 'gpt'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        PretrainConfig(**settings)


def test_too_little_text_is_refused(pairs, tiny_model, tmp_path):
    config = PretrainConfig(n_pairs=1, **{**TINY, "max_seq_length": 64, "n_positions": 64})
    with pytest.raises(InputError, match="does not fill one block of 64 tokens"):
        pretrain(
            pairs, tmp_path / "lm", tokenizer=str(tiny_model), compared_with=str(tiny_model), config=config
        )


@pytest.mark.slow
def test_every_stage_opens_a_model_of_ours_in_a_new_process():
    """Whichever stage comes first: what one module registers by the way, another must not miss."""
    modules = ("alignment", "late_interaction", "contrastive", "cross_encoder")
    code = "from transformers import AutoConfig; import pubvec.training.{}; AutoConfig.for_model('bert_hash')"
    running = [subprocess.Popen([sys.executable, "-c", code.format(module)]) for module in modules]
    assert [process.wait() for process in running] == [0] * len(modules)
