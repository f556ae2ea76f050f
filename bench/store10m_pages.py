"""What each page takes in a browser on the store of bench/store10m.py: to its first content, and until it is complete.

    nice -n 5 python -m bench.store10m_pages --dir /var/tmp/store10m [--times 3]

Relay, analytics and dashboard are the real processes, the browser is Chromium without a window; the reader clicks in
the sidebar as one who works with it all day: every page was opened before (warm). First content: the page's heading
stands and something of its own below it. Complete: the script has ended, nothing on the page is of the run before, and
every chart is drawn. A second table has each page's first opening since all processes started (cold).
"""

import argparse
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.store10m import prepare, stopped, up
from tests.builders import Installation, free_port, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGES = (
    "Now", "Decisions", "Sender", "Messages", "Destinations", "IPs and pools", "Bounces and suppression",
    "Complaints and reports", "Model and policy", "Customers and setup", "Data", "System",
)  # fmt: skip
WINDOWS = ("1h", "24h", "7d")
_STARTED = """
(name) => [...document.querySelectorAll('[data-testid=stMain] h2')].some(e => e.innerText.trim() === name)
    && [...document.querySelectorAll('[data-testid=stMain] [data-testid=stElementContainer]')]
        .filter(e => e.dataset.stale !== 'true').length >= 3
"""
_DONE = """
(name) => [...document.querySelectorAll('[data-testid=stMain] h2')].some(e => e.innerText.trim() === name)
    && document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-testid=stMain] [data-stale=true], [data-testid=stSkeleton]')
    && [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(e => e.querySelector('canvas, svg'))
"""
_MOST_SECONDS = 60


@dataclass
class Timed:
    """Seconds of one page at one window."""

    first: list[float] = field(default_factory=list)
    complete: list[float] = field(default_factory=list)

    def add(self, seconds: tuple[float, float]) -> None:
        self.first.append(seconds[0])
        self.complete.append(seconds[1])


Times = dict[tuple[str, str], Timed]


def measure(installation: Installation, times: int) -> tuple[Times, Times]:
    """Warm and cold times, by page and window."""
    warm: Times = defaultdict(Timed)
    cold: Times = defaultdict(Timed)
    with _browser(installation) as page:
        for window in WINDOWS:
            page.goto(f"/decisions?window={window}")
            _wait(page, _DONE, "Decisions")
            for number in range(times + 1):
                for name in PAGES:
                    (warm if number else cold)[name, window].add(_visit(page, name))
    return warm, cold


def _visit(page: "Page", name: str) -> tuple[float, float]:
    began = time.perf_counter()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    _wait(page, _STARTED, name)
    first = time.perf_counter() - began
    _wait(page, _DONE, name)
    return first, time.perf_counter() - began


def _wait(page: "Page", condition: str, name: str) -> None:
    page.wait_for_function(condition, arg=name, timeout=_MOST_SECONDS * 1000)


@contextmanager
def _browser(installation: Installation) -> Iterator["Page"]:
    from playwright.sync_api import Error, sync_playwright

    from bench.pictures import launched

    port = free_port()
    with installation.config.open("a") as file:
        file.write(f'[dashboard]\nlisten = "127.0.0.1:{port}"\n')
    with (
        up(installation),
        stopped(installation.start("relay")),
        stopped(installation.start("dashboard")),
        sync_playwright() as playwright,
    ):
        browser = launched(playwright)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=f"http://127.0.0.1:{port}")

        def opens() -> bool:
            try:
                page.goto("/healthz")
            except Error:
                return False
            return True

        until(opens, 60)
        yield page
        browser.close()


def told(found: Times) -> str:
    """A table in Markdown: first content and complete, median and largest of all times, by window."""
    head = "".join(f" {window} first | {window} complete |" for window in WINDOWS)
    rows = []
    for name in PAGES:
        cells = [
            f"{statistics.median(seconds):.2f} ({max(seconds):.2f})"
            for window in WINDOWS
            for seconds in (found[name, window].first, found[name, window].complete)
        ]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([f"| page |{head}", "|---|" + "---|---|" * len(WINDOWS), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    warm, cold = measure(prepare(options.dir, options.messages), options.times)
    print(told(warm), told(cold), f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after", sep="\n\n")


if __name__ == "__main__":
    main()
