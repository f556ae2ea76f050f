"""Takes pictures of the dashboard of a running demo: python -m bench.pictures http://127.0.0.1:8501 docs/pictures

Without --every those of README; with it each page, light and dark, at 1440 and 900 pixels, for somebody to look at.
Needs Debian's chromium (or $MAILWEIR_CHROMIUM). Run it when the demo has said that the sender is held.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, Playwright, sync_playwright

_PAGES = (
    "now",
    "decisions",
    "sender",
    "messages",
    "destinations",
    "ips",
    "bounces",
    "complaints",
    "lab",
    "customers",
    "data_room",
    "system",
)
_OF_README = ("now", "decisions", "sender", "messages", "bounces")
_WAYS = {"now": "", "sender": "decisions"}
_SETTLE_MILLISECONDS = 2500  # charts draw themselves after they are there
_Scheme = Literal["light", "dark"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--pages", nargs="*", default=list(_PAGES), choices=_PAGES)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = launched(playwright)
        if args.every:
            for name, page in _each(browser, args.url.rstrip("/"), args.pages):
                page.screenshot(path=args.folder / f"{name}.png", full_page=True)
        else:
            for name, page in _looks(browser, args.url.rstrip("/"), _OF_README, "light", 1440):
                page.screenshot(path=args.folder / f"{name.partition('-')[0]}.png")
        browser.close()


def launched(playwright: Playwright) -> Browser:
    """Debian's Chromium, or the one that is named."""
    path = os.environ.get("MAILWEIR_CHROMIUM", "/usr/bin/chromium")
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


def _each(browser: Browser, url: str, pages: list[str]) -> Iterator[tuple[str, Page]]:
    schemes: tuple[_Scheme, ...] = ("light", "dark")
    for scheme in schemes:
        for width in (1440, 900):
            yield from _looks(browser, url, pages, scheme, width)


def _looks(
    browser: Browser, url: str, pages: list[str] | tuple[str, ...], scheme: _Scheme, width: int
) -> Iterator[tuple[str, Page]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for name in pages:
        _open(page, url, name)
        yield f"{name}-{scheme}-{width}", page
    page.close()


def _open(page: Page, url: str, name: str) -> None:
    """Open a page, of the sender that was held last, and wait until nothing runs any more."""
    page.goto(f"{url}/{_WAYS.get(name, name)}?window=1h")
    page.get_by_role("heading", level=2).first.wait_for(timeout=60_000)
    if name == "sender":
        page.get_by_text("All about this sender").first.click()
        page.get_by_text("Where it stood").first.wait_for(timeout=60_000)
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)
    page.wait_for_timeout(_SETTLE_MILLISECONDS)


if __name__ == "__main__":
    main()
