"""A training that is killed and repeated ends with the weights of one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

SCRIPT = """
import sys
from pubvec import progress
from pubvec.training.align import align
from pubvec.training.config import AlignConfig
pairs, student, teacher, output, vectors = sys.argv[1:]
config = AlignConfig(batch_size=4, max_seq_length=32, n_epochs=4, checkpoint_s=0.01, learning_rate=1e-3)
def tell(what, n_done, n_total):
    print(what, n_done, flush=True)
with progress.listen(tell):
    made = align(pairs, output, student=student, teacher=teacher, vectors=vectors, config=config)
print("resumed at", made.counts["resumed_at_step"], flush=True)
"""


def start(*arguments: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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

    resumed = start(pairs, tiny_model, teacher, tmp_path / "killed", vectors)
    out, err = resumed.communicate()
    assert resumed.returncode == 0, err
    assert int(out.split("resumed at ")[1]) >= 10

    expected = load_file(tmp_path / "whole" / "model.safetensors")
    actual = load_file(tmp_path / "killed" / "model.safetensors")
    for name, weights in expected.items():
        assert (actual[name] == weights).all(), name


EVERY_TRAINER = """
import sys
from pubvec.training.align import align
from pubvec.training.colbert import colbert
from pubvec.training.config import AlignConfig, ColbertConfig, ContrastConfig, RerankerConfig
from pubvec.training.contrast import contrast
from pubvec.training.reranker import reranker
pairs, scores, student, teacher, output = sys.argv[1:]
short = dict(batch_size=4, max_seq_length=32)
align(pairs, f"{output}/aligned", student=student, teacher=teacher, config=AlignConfig(**short))
config = RerankerConfig(n_negatives=1, n_random_negatives=0, **short)
reranker(pairs, f"{output}/reranker", base=student, config=config)
contrast(scores, f"{output}/small", student=f"{output}/aligned", config=ContrastConfig(**short))
colbert(scores, f"{output}/colbert", student=f"{output}/small", config=ColbertConfig(**short))
"""


def test_torchrun_trains_every_model_with_two_processes(pairs, scored_pairs, tiny_model, teacher, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(EVERY_TRAINER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [str(path) for path in (script, pairs, scored_pairs, tiny_model, teacher, tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=environment, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # 40 pairs at 2 × 4 a step; the reranker sees each with its negative
    for name, n_steps in (("aligned", 5), ("reranker", 10), ("small", 5), ("colbert", 5)):
        counts = json.loads((tmp_path / name / "pubvec.json").read_text())["counts"]
        assert (counts["n_devices"], counts["n_train_steps"]) == (2, n_steps)
        assert (tmp_path / name / "model.safetensors").exists()
