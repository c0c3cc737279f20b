"""Progress of long work, reported to whoever listens.

The command line installs a listener with `listen`; without one, reporting costs a function call. A user of the library
who asks for a bar gets one from `draw`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

Listener = Callable[[str, int, int | None], None]
"""Called with (what is counted, how many are done, how many there will be or None)."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Send every report made inside the `with` block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(what: str, n_done: int, n_total: int | None = None) -> None:
    """Say that `n_done` of `n_total` units of `what` are done."""
    listener = _listener.get()
    if listener is not None:
        listener(what, n_done, n_total)


def track(items: Iterable[T], what: str, n_total: int | None = None) -> Iterator[T]:
    """Yield `items` and report each one after the consumer has finished with it."""
    for n_done, item in enumerate(items, start=1):
        yield item
        report(what, n_done, n_total)


@contextmanager
def draw(what: str, n_total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Draw a bar on stderr, if that is a terminal or a notebook. The function that is yielded advances the bar by a
    number.
    """
    from rich.console import Console

    with make_bar(Console(stderr=True)) as bar:
        task = bar.add_task(what, total=n_total)
        yield lambda n_more: bar.advance(task, n_more)


def make_bar(console: Any, *, is_hidden: bool = False) -> Any:
    """Make a `rich.progress.Progress` on a rich console: name, bar, count, rate and time left."""
    from rich import progress
    from rich.text import Text

    class Rate(progress.ProgressColumn):
        """The column of the bar that shows the rate, in units a second."""

        def render(self, task: progress.Task) -> Text:
            """See `rich.progress.ProgressColumn`."""
            return Text(f"{task.speed:,.1f}/s" if task.speed else "")

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        Rate(),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=is_hidden or not (console.is_terminal or console.is_jupyter),
    )
