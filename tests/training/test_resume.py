"""A training that is killed and repeated ends with the weights of one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

SCRIPT = """
import sys
from pubvec import progress
from pubvec.training.alignment import align
from pubvec.training.config import AlignConfig
checkpoint_s, pairs, student, teacher, output, vectors = sys.argv[1:]
short = dict(batch_size=4, max_seq_length=32, n_epochs=4, learning_rate=1e-3)
config = AlignConfig(checkpoint_s=float(checkpoint_s), **short)
def tell(what, n_done, n_total):
    print(what, n_done, flush=True)
with progress.listen(tell):
    made = align(pairs, output, student=student, teacher=teacher, vectors=vectors, config=config)
print("resumed at", made.counts["resumed_at_step"], flush=True)
"""


def start(*arguments: Path, checkpoint_s: float = 0.01) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(checkpoint_s), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_killed_training_resumes_exactly(pairs, tiny_model, teacher, tmp_path):
    vectors = tmp_path / "vectors"
    whole = start(pairs, tiny_model, teacher, tmp_path / "whole", vectors)
    out, err = whole.communicate()
    assert whole.returncode == 0, err
    assert "resumed at None" in out

    killed = start(pairs, tiny_model, teacher, tmp_path / "killed", vectors)
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.startswith("align steps 17"):
            os.kill(killed.pid, signal.SIGKILL)
            break
    killed.wait()
    assert killed.returncode == -signal.SIGKILL
    killed.communicate()
    time.sleep(0.1)

    resumed = start(pairs, tiny_model, teacher, tmp_path / "killed", vectors, checkpoint_s=60)
    out, err = resumed.communicate()
    assert resumed.returncode == 0, err
    assert int(out.split("resumed at ")[1]) >= 10

    expected = load_file(tmp_path / "whole" / "model.safetensors")
    actual = load_file(tmp_path / "killed" / "model.safetensors")
    for name, weights in expected.items():
        assert (actual[name] == weights).all(), name


EVERY_TRAINER = """
import sys
from pubvec.training.alignment import align
from pubvec.training.late_interaction import colbert
from pubvec.training.config import AlignConfig, ColbertConfig, ContrastConfig, PretrainConfig, RerankerConfig
from pubvec.training.contrastive import contrast
from pubvec.training.pretraining import pretrain
from pubvec.training.cross_encoder import reranker
pairs, scores, student, teacher, output = sys.argv[1:]
short = dict(batch_size=8, max_seq_length=32, precision="fp32")
align(pairs, f"{output}/align", student=student, teacher=teacher, config=AlignConfig(**short))
config = RerankerConfig(n_negatives=1, n_random_negatives=0, **short)
reranker(pairs, f"{output}/reranker", base=student, config=config)
contrast(scores, f"{output}/contrast", student=student, config=ContrastConfig(**short))
colbert(scores, f"{output}/colbert", student=student, config=ColbertConfig(**short))
sizes = dict(hidden_size=16, n_layers=1, n_heads=2, intermediate_size=32, vocab_size=200, n_positions=32)
config = PretrainConfig(n_epochs=2, **sizes, **short)
pretrain(pairs, f"{output}/pretrain", compared_with=student, config=config)
"""


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(pairs, scored_pairs, tiny_model, teacher, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(EVERY_TRAINER)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    running = []
    for name, options in (("one", []), ("two", start)):
        (tmp_path / name).mkdir()
        arguments = map(str, (script, pairs, scored_pairs, tiny_model, teacher, tmp_path / name))
        command = [sys.executable, *options, *arguments]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
    for process in running:
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err[-3000:]
    # 40 pairs at 8 a step; the reranker sees each with its negative
    for name, n_steps in (
        ("align", 5),
        ("reranker", 10),
        ("contrast", 5),
        ("colbert", 5),
        ("pretrain", None),
    ):
        one, two = (
            json.loads((tmp_path / n / name / "pubvec.json").read_text())["counts"] for n in ("one", "two")
        )
        assert (one["n_devices"], two["n_devices"]) == (1, 2)
        assert one["n_train_steps"] == two["n_train_steps"] and n_steps in (None, one["n_train_steps"])
        losses = [
            [
                entry["loss"]
                for entry in json.loads((tmp_path / n / name / "training_log.json").read_text())[:-1]
            ]
            for n in ("one", "two")
        ]
        # The mean over masked tokens is taken in each process, which has not quite as many as the other.
        assert losses[1] == pytest.approx(losses[0], rel=0.01 if name == "pretrain" else 1e-4)
        if name in ("align", "contrast"):
            one, two, initial = (
                np.concatenate(
                    [tensor.ravel() for _, tensor in sorted(load_file(path / "model.safetensors").items())]
                )
                for path in (tmp_path / "one" / name, tmp_path / "two" / name, tiny_model)
            )
            assert np.linalg.norm(two - one) < 0.05 * np.linalg.norm(one - initial)
