"""The processes of a training: one, or those that torchrun or accelerate started, with the same batches all together."""

from __future__ import annotations

import torch
from accelerate import PartialState

from pubvec.errors import ConfigError


def processes() -> PartialState:
    """The processes of this training: one, or those that torchrun or accelerate started."""
    return PartialState(cpu=not torch.accelerator.is_available())


def share_of(batch_size: int) -> int:
    """Rows of a batch that each process takes.

    Raises:
        ConfigError: `batch_size` does not divide among the processes.
    """
    n_processes = int(processes().num_processes)
    if batch_size % n_processes:
        raise ConfigError(f"batch_size is {batch_size}, which {n_processes} processes cannot share evenly")
    return batch_size // n_processes
