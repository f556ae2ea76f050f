"""Takes the pictures of README from a running demo: python -m bench.pictures http://127.0.0.1:8501 docs/pictures

Needs Debian's chromium (or $MAILWEIR_CHROMIUM). Run it when the demo has said that the sender is held.
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

_CHART = "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg"


def main(url: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("MAILWEIR_CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        _take(page, f"{url}/?window=1h", "Needs you", folder / "now.png", has_charts=True)
        _take(page, f"{url}/decisions", "Release: not spam", folder / "decisions.png")
        page.get_by_text("All about this sender").first.click()
        page.get_by_text("Recent messages").wait_for()
        page.locator(_CHART).first.wait_for()
        page.wait_for_timeout(2500)
        page.screenshot(path=folder / "sender.png", full_page=True)
        _take(page, f"{url}/system", "Jobs of analytics", folder / "system.png")
        browser.close()


def _take(page: Page, url: str, text: str, path: Path, *, has_charts: bool = False) -> None:
    page.goto(url)
    page.get_by_text(text).first.wait_for()
    if has_charts:
        page.locator(_CHART).first.wait_for()
    page.wait_for_timeout(2500)  # charts draw themselves after they are there
    page.screenshot(path=path, full_page=True)


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2]))
