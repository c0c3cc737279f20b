"""Settings that make a training step fast: bfloat16 on processors that multiply it fast, and memory that is not given
back.

bfloat16 is fast in the matrix products of a GPU and of a CPU with AMX or AVX512-BF16.

Weights and optimizer stay in float32 (mixed precision: Micikevicius et al. 2017, arXiv 1710.03740). On a CPU
autocast alone gains little, since each LayerNorm hands its float32 back and every product converts it again;
so the hidden states are bfloat16 from the embeddings on, up to the pooling, which adds in float32.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import torch

# Names and numbers of `mallopt` in glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_FAST_BFLOAT16 = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


def has_fast_bfloat16() -> bool:
    """Whether training in bfloat16 is worth it on this machine."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    # torch has no public names for what a CPU can do.
    checks = (getattr(torch.cpu, name, None) for name in _FAST_BFLOAT16)
    return any(check() for check in checks if check is not None)


def attention_kernel() -> dict[str, str]:
    """Options for loading a model: on a CPU attention as plain products.

    The backward pass of torch's fused kernel on a CPU takes half of a training step.
    """
    return {} if torch.accelerator.is_available() else {"attn_implementation": "eager"}


def halve_for_gpu(model: torch.nn.Module) -> None:
    """Give a model that only computes and is on a GPU bfloat16 weights: half the bytes, several times the speed."""
    if torch.cuda.is_available() and has_fast_bfloat16():
        model.to(torch.bfloat16)


def set_dropout(model: torch.nn.Module, probability: float | None) -> None:
    """Set every dropout of `model`; None: off. On a CPU drawing the masks takes a third of a step."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability or 0.0


def keep_hidden_states_narrow(model: torch.nn.Module) -> None:
    """Let `model` compute in bfloat16 between embeddings and pooling wherever CPU autocast is on."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "embeddings":
            module.register_forward_hook(_narrow)
    if isinstance(model, torch.nn.Sequential):
        model[0].register_forward_hook(_widen)


def _narrow(_module: torch.nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return output.to(torch.bfloat16) if torch.is_autocast_enabled("cpu") else output


def _widen(_module: torch.nn.Module, _inputs: Any, output: dict[str, Any]) -> dict[str, Any]:
    states = output.get("token_embeddings")
    if states is not None and states.dtype is torch.bfloat16:
        output["token_embeddings"] = states.float()
    return output


def keep_freed_memory() -> None:
    """Let glibc neither map large blocks of their own nor give freed ones back; elsewhere nothing happens.

    By default malloc maps memory anew for each large activation, and the kernel clears the pages. That takes half of
    the time of a training step on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_MAX, 0)
        set_option(_TRIM_THRESHOLD, -1)
        set_option(_TOP_PAD, 256 << 20)
