"""One training run on a sentence-transformers trainer: checkpoints by the clock, exact resume, quiet output.

The trainers themselves stay untouched, so `torchrun` and `accelerate launch` work as they do elsewhere: the main process
owns the output folder, the others wait for it. A batch is that of all processes together, so a recipe gives the same loss
curve on any number of them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import load_file, save_file
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.utils import logging as transformers_logging

from pubvec.encoder import (
    BertHashModel,  # noqa: F401  the import registers the architecture with transformers
    count_positions,
    make_compatible,
)
from pubvec.errors import ConfigError, OutputError
from pubvec.files import MODEL_MANIFEST, OutputFolder, atomic_path, remove, write_json
from pubvec.machine import count_cores
from pubvec.progress import report
from pubvec.training.config import TrainConfig
from pubvec.training.precision import (
    attention_kernel,
    has_fast_bfloat16,
    keep_freed_memory,
    keep_hidden_states_narrow,
    set_dropout,
)

log = logging.getLogger(__name__)

_CHECKPOINTS = "checkpoints"
_COMPLETE = "complete"
_LOSS_STATE = "loss.safetensors"
_MAX_WORKERS = 8


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


@contextmanager
def model_folder(
    goal: Path | str, *, command: str, config: Mapping[str, Any], inputs: Sequence[Path], force: bool
) -> Iterator[OutputFolder]:
    """The output folder of a model; under torchrun only the main process opens and closes it.

    The result does not depend on `checkpoint_s`, so a training may be resumed with another value.
    """
    settings = {name: value for name, value in config.items() if name != "checkpoint_s"}
    folder = OutputFolder(
        goal, command=command, config=settings, inputs=inputs, force=force, manifest_name=MODEL_MANIFEST
    )
    state = processes()
    with folder if state.is_main_process else nullcontext():
        state.wait_for_everyone()
        yield folder
        state.wait_for_everyone()
        if state.is_main_process:
            remove(folder / _CHECKPOINTS)
    state.wait_for_everyone()  # the folder has its final name


def quiet_libraries() -> None:
    """Keep the libraries' bars and notices off the user's screen; errors still come through."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)


def open_model(kind: Callable[..., Any], path: Path, config: TrainConfig, **options: Any) -> Any:
    """Load the model that a training starts from, with the training's window."""
    keep_freed_memory()
    model = kind(str(path), model_kwargs=attention_kernel(), **options)
    set_dropout(model, config.dropout)
    if uses_bfloat16(config):
        keep_hidden_states_narrow(model)
    model.max_seq_length = min(config.max_seq_length, count_positions(path))
    model.model_card_data.widget = [{}]  # else filled with training texts, which have no place in a card
    return model


def uses_bfloat16(config: TrainConfig) -> bool:
    """Whether this training computes in bfloat16 on this machine."""
    return has_fast_bfloat16() if config.precision is None else config.precision == "bf16"


def arguments(config: TrainConfig, output: OutputFolder, **extra: Any) -> dict[str, Any]:
    """Keyword arguments of a sentence-transformers `…TrainingArguments`."""
    return {
        "output_dir": str(output / _CHECKPOINTS),
        "num_train_epochs": config.n_epochs,
        "per_device_train_batch_size": share_of(config.batch_size),
        "learning_rate": config.learning_rate,
        "warmup_steps": config.warmup_fraction,
        "weight_decay": config.weight_decay,
        "seed": config.seed,
        "use_cpu": not torch.accelerator.is_available(),
        "bf16": uses_bfloat16(config),
        "save_strategy": "no",  # the callback decides, by the clock
        "save_total_limit": 2,
        "logging_first_step": True,
        "logging_steps": 10,
        "disable_tqdm": True,
        "report_to": "none",
        "dataloader_drop_last": False,
        **_tokenizing_ahead(),
        **extra,
    }


def _tokenizing_ahead() -> dict[str, Any]:
    """Options that let processes of their own tokenize the next batches, where a GPU would wait for them."""
    n_cores = count_cores() // max(1, processes().num_processes)
    if not torch.accelerator.is_available() or n_cores < 4:
        return {}
    os.environ["TOKENIZERS_PARALLELISM"] = (
        "false"  # its threads do not live through a fork: "true" would hang
    )
    return {"dataloader_num_workers": min(_MAX_WORKERS, n_cores // 2), "dataloader_prefetch_factor": 4}


def train(trainer: Any, config: TrainConfig, output: OutputFolder, *, what: str) -> None:
    """Run `trainer` from the newest complete checkpoint, or from the start; fill `output.counts`.

    Raises:
        OutputError: the loss is not a number at the end.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(_Clock(trainer, config.checkpoint_s, what))
    checkpoint = _newest_checkpoint(output / _CHECKPOINTS)
    loss = getattr(trainer, "loss", None)  # a language model computes its loss itself
    if loss is not None and checkpoint is not None and (checkpoint / _LOSS_STATE).exists():
        loss.load_state_dict(load_file(checkpoint / _LOSS_STATE), strict=False)
    started = time.perf_counter()
    try:
        result = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except KeyboardInterrupt:
        _say_where_it_goes_on(trainer.state.global_step, _newest_checkpoint(output / _CHECKPOINTS))
        raise
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if result.training_loss != result.training_loss:
        raise OutputError("the training loss is not a number: lower learning_rate")
    output.counts.update(
        n_train_steps=trainer.state.global_step,
        n_train_examples=len(trainer.train_dataset),
        n_devices=trainer.args.world_size,
        train_s=round(time.perf_counter() - started, 1),
        loss_first=losses[0] if losses else None,
        loss_last=losses[-1] if losses else None,
        resumed_at_step=int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else None,
    )
    if trainer.is_world_process_zero():
        write_json(output / "training_log.json", trainer.state.log_history)


def _say_where_it_goes_on(step: int, checkpoint: Path | None) -> None:
    """Log what an interrupted training loses, and how it goes on."""
    n_kept = int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0
    place = f"the checkpoint of step {n_kept}" if n_kept else "the start, because there is no checkpoint yet"
    log.warning("interrupted after step %d; the same command goes on from %s", step, place)


def save_model(model: Any, start: Path, config: TrainConfig, output: OutputFolder) -> None:
    """Write the model that was trained from `start` into `output`, in sentence-transformers layout."""
    if not processes().is_main_process:
        return
    if config.saved_max_seq_length is not None:
        model.max_seq_length = min(config.saved_max_seq_length, count_positions(start))
    model.save_pretrained(str(output.path), create_model_card=False)
    make_compatible(output.path)


class _Clock(TrainerCallback):  # type: ignore[misc]
    """Report progress, and save a checkpoint every `checkpoint_s` seconds, marked when whole."""

    def __init__(self, trainer: Any, checkpoint_s: float, what: str) -> None:
        self._trainer = trainer
        self._checkpoint_s = checkpoint_s
        self._what = what
        self._saved_at = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        report(self._what, state.global_step, state.max_steps)
        is_due = time.monotonic() - self._saved_at >= self._checkpoint_s
        if processes().num_processes > 1:  # all processes must save at the same step
            is_due = bool(_from_main_process(is_due))
        if is_due and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._saved_at = time.monotonic()
        if not self._trainer.is_world_process_zero():
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        loss = getattr(self._trainer, "loss", None)
        own = {
            name: tensor.contiguous()
            for name, tensor in (loss.state_dict() if loss is not None else {}).items()
            if "model" not in name.split(".")
        }
        if own:
            save_file(own, folder / _LOSS_STATE)
        with atomic_path(folder / _COMPLETE) as path:
            path.touch()


def _from_main_process(value: bool) -> bool:
    flags = [value]
    torch.distributed.broadcast_object_list(flags, src=0)
    return flags[0]


def _newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; remnants of a kill are ignored."""
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{_COMPLETE}")]
    return max(complete, key=lambda path: int(path.name.rsplit("-", 1)[1]), default=None)
