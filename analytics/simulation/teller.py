"""Says in the terminal what happens: steps with their time, and plain sentences with the time of day."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from relay.clock import Clock


class Teller:
    """Writes to one console. Never interprets what it is told as markup: it may come from mail."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console, self._clock = console, clock

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show that something goes on, and how long it took."""
        began = time.monotonic()
        with self._console.status(Text(text)):
            yield
        seconds = time.monotonic() - began
        self._print(Text.assemble(("  done  ", "green"), text, (f"  {seconds:.1f} s", "dim")))

    def say(self, text: str, style: str = "") -> None:
        """Tell one thing that happened, with the local time."""
        at = f"{self._clock.now().astimezone():%H:%M:%S}"
        self._print(Text.assemble((f"{at}  ", "dim"), (text, style)))

    def show(self, text: str, style: str = "") -> None:
        """Write a line without the time."""
        self._print(Text(text, style=style))

    def _print(self, text: Text) -> None:
        # soft_wrap: a URL or a command that is broken over two lines cannot be clicked or copied
        self._console.print(text, soft_wrap=True, highlight=False)
