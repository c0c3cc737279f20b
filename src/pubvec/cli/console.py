"""What the user sees on stderr: one progress bar at a time, one summary line a stage."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console as RichConsole
from rich.progress import Progress, TaskID

from pubvec import progress
from pubvec.errors import OutputError
from pubvec.files import Manifest, json_ready
from pubvec.terminal import printable


class Console:
    """Talk on stderr, unless it is quiet."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self.is_quiet = is_quiet
        self._rich = RichConsole(stderr=True, quiet=is_quiet, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print one line."""
        self._rich.print(printable(text), markup=False)

    @contextlib.contextmanager
    def progress(self) -> Iterator[None]:
        """Draw the bar of whatever reports progress inside the block, and pass warnings on.

        What a library prints there is talk, and goes to stderr: Ray tells of lost machines on stdout.
        """
        handler = _LogLine(self)
        logger = logging.getLogger("pubvec")
        logger.addHandler(handler)
        propagates, logger.propagate = logger.propagate, False  # libraries give the root logger handlers
        bar = progress.make_bar(self._rich, is_hidden=self.is_quiet)
        listener = ProgressLines(self.say) if bar.disable else _Bar(bar)
        try:
            with contextlib.redirect_stdout(sys.stderr), bar, progress.listen(listener):
                yield
        finally:
            logger.removeHandler(handler)
            logger.propagate = propagates

    def say_done(self, folder: str, manifest: Manifest, *, as_json: bool = False) -> None:
        """Summarize a finished folder on stderr, or its manifest as JSON on stdout."""
        if as_json:
            print(json.dumps(json_ready(manifest), indent=2, ensure_ascii=False))
            return
        self.say(f"{folder}: {describe_counts(manifest.counts)}in {manifest.seconds:,.1f} s")


def describe_counts(counts: Any) -> str:
    """`137,394 articles, 12 deleted, ` from `n_*` counts; other entries are left to the manifest."""
    shown = [
        f"{value:,} {name.removeprefix('n_').replace('_', ' ')}, "
        for name, value in counts.items()
        if name.startswith("n_") and isinstance(value, int)
    ]
    return "".join(shown)


class _Bar:
    """Draws what is reported: a new name starts a new bar."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._what = ""
        self._task: TaskID | None = None

    def __call__(self, what: str, n_done: int, n_total: int | None) -> None:
        if what != self._what:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._what, self._task = what, self._bar.add_task(what, total=n_total)
        assert self._task is not None
        self._bar.update(self._task, completed=n_done, total=n_total)


class ProgressLines:
    """Says in whole lines how far work is, where no bar can be drawn: in a log file, under nohup, in CI.

    Nothing is said in the first `interval_s` seconds, and at most one line in each further `interval_s` seconds.

    Args:
        say: prints a line.
        interval_s: seconds between lines.
        clock: tells the time in seconds.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        interval_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._interval_s = interval_s
        self._clock = clock
        self._said_at = clock()
        self._what = ""
        self._first: tuple[float, int] = (0.0, 0)

    def __call__(self, what: str, n_done: int, n_total: int | None) -> None:
        """Take a report, as `pubvec.progress.Listener`."""
        now = self._clock()
        if what != self._what:
            self._what, self._first = what, (now, n_done)
        if now - self._said_at < self._interval_s:
            return
        self._said_at = now
        since, n_before = self._first
        rate = (n_done - n_before) / (now - since) if now > since else 0.0
        line = f"{what}: {n_done:,}" + (f" of {n_total:,}" if n_total is not None else "")
        if rate > 0:
            line += f", {rate:,.2f}/s"
            if n_total is not None:
                line += f", {max(0, n_total - n_done) / rate / 60:,.0f} min left"
        self._say(line)


class _LogLine(logging.Handler):
    """Says each warning once: a stage that runs over many models meets the same long texts each time."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname.capitalize()}: {record.getMessage()}"
        if line not in self._said:
            self._said.add(line)
            self._console.say(line)


class _ClosedOutput(io.TextIOBase):
    """Standard output of a process that was started without one: it is an error only if something is written."""

    def write(self, text: str) -> int:
        raise OutputError("standard output is closed: give it a file or a pipe, or write with --output")


def open_streams() -> None:
    """Make the standard streams ready for what is written to them.

    Python has no object for a stream that is closed. Its descriptor is opened on the null device, because the next
    file that is opened would get its number, and whatever a library prints would go into that file. Files and pipes
    get UTF-8 on every system, since all formats that are written here are UTF-8.
    """
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
            pass
        os.close(descriptor)
        sys.stdin = sys.stdin or io.StringIO()
        sys.stdout = sys.stdout or _ClosedOutput()
        sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8")


def close_output() -> None:
    """Drop what standard output still holds, so that Python does not fail again when it ends."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


_console = Console(is_quiet=not sys.stderr)


def set_console(console: Console) -> None:
    """Replace the console of this process."""
    global _console
    _console = console


def console() -> Console:
    """The console of this process."""
    return _console
