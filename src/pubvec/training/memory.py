"""Keep the memory that a training step frees for the next one."""

from __future__ import annotations

import ctypes
import sys

# Names and numbers of `mallopt` in glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Let glibc neither map large blocks of their own nor give freed ones back; elsewhere nothing happens.

    By default each large activation is mapped anew, and the system clears its pages: half of the time of a training
    step on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_MAX, 0)
        set_option(_TRIM_THRESHOLD, -1)
        set_option(_TOP_PAD, 256 << 20)
