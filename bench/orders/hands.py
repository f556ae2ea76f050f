"""A person's hands and eyes on the dashboard, in Chromium: open, press, choose rows, fill in, answer, read."""

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import Error

from dashboard.entry.keeper import COOKIE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

_QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
_ROW_PIXELS = 33  # of a table; its heading is as high
_WAIT_MILLISECONDS = 12_000


class Hands:
    """One person's browser. Every wait ends by itself; what is not there raises playwright's Error."""

    def __init__(self, page: "Page", folder: Path | None = None) -> None:
        """Without a folder there are no pictures."""
        self.page, self._folder, self._pictures = page, folder, 0
        self.name = ""  # of what is tried now; begins the pictures' names

    @classmethod
    def signed_in(cls, browser: "Browser", url: str, token: str, folder: Path) -> "Hands":
        """Somebody who has a session, by its token."""
        page = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=url)
        page.set_default_timeout(_WAIT_MILLISECONDS)
        page.context.add_cookies([{"name": COOKIE, "value": token, "url": url}])
        return cls(page, folder)

    @property
    def main(self) -> "Locator":
        return self.page.get_by_test_id("stMain")

    @property
    def dialog(self) -> "Locator":
        return self.page.get_by_role("dialog").last

    def open(self, path: str) -> None:
        self.page.goto(path)
        self.page.get_by_role("heading", level=2).first.wait_for(timeout=60_000)
        self.settle()

    def go(self, name: str) -> None:
        """To another page, by its name at the side: what is loaded already stays."""
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
        self.page.get_by_role("heading", name=name, exact=True).wait_for()
        self.settle()

    def labels(self) -> list[str]:
        """The words of all buttons of the page that can be seen."""
        every = self.main.locator("button[data-testid^=stBaseButton]").locator("visible=true").all_inner_texts()
        return [label for label in map(_words, every) if label]

    def press(self, label: str, *, within: "Locator | None" = None) -> None:
        """Press the first button whose words begin so."""
        buttons = (within or self.main).locator("button").locator("visible=true")
        buttons.filter(has_text=re.compile(rf"(?:^|[a-z_]\s*|\n){re.escape(label)}")).first.click()
        self.settle()

    def ask(self, label: str) -> str:
        """Press a button that opens a dialog; return what stands in it."""
        self.press(label)
        self.dialog.wait_for()
        self.settle()
        self.picture(label)
        return self.read()

    def read(self) -> str:
        """The words of the dialog, without word joiners."""
        return self.dialog.inner_text().replace("\u2060", "")

    def fill(self, label: str, text: str, *, within: "Locator | None" = None) -> None:
        box = (within or self.dialog).get_by_label(label, exact=True).locator("visible=true").first
        box.fill(text)
        box.press("Tab")
        self.settle()

    def value(self, label: str) -> str:
        return self.dialog.get_by_label(label, exact=True).locator("visible=true").first.input_value()

    def pick(self, label: str, option: str, *, within: "Locator | None" = None) -> None:
        """Choose in a select box."""
        self._box(within or self.dialog, "stSelectbox", label).get_by_role("combobox").click()
        self.page.get_by_role("option", name=option).first.click()
        self.settle()

    def add(self, label: str, option: str) -> None:
        """Choose one more in a box that holds several."""
        self._box(self.dialog, "stMultiSelect", label).get_by_role("combobox").click()
        self.page.get_by_role("option", name=option, exact=True).first.click()
        self.page.keyboard.press("Tab")  # escape would close the dialog
        self.settle()

    def can(self, word: str) -> bool:
        """Tell whether the dialog's last button, of this word, can be pressed."""
        button = self._last(word)
        return button.count() > 0 and button.is_enabled()

    def answer(self, word: str) -> str:
        """Press the dialog's last button; return what was told: the toast, or what the dialog says now."""
        self._last(word).click()
        self.settle()
        with contextlib.suppress(Error):
            self.page.wait_for_selector("[data-testid=stToast], [role=dialog] [data-testid=stAlert]", timeout=8_000)
        self.settle()
        self.picture(f"{word} done")
        return self.told()

    def told(self) -> str:
        left = self.page.get_by_role("dialog")
        alerts = left.last.get_by_test_id("stAlert").all_inner_texts() if left.count() else []
        words = " / ".join([*self.page.get_by_test_id("stToast").all_inner_texts(), *alerts])
        return " ".join(words.replace("\u2060", "").split())

    def is_asked(self) -> bool:
        return self.page.get_by_role("dialog").count() > 0

    def cancel(self) -> None:
        """Put the dialog away: by its own button, or where it has none by the cross."""
        own = self.dialog.get_by_role("button", name="Cancel", exact=True)
        (own if own.count() else self.dialog.get_by_role("button", name="Close").first).click()
        self.page.get_by_role("dialog").first.wait_for(state="detached")
        self.settle()

    def choose(self, *texts: str) -> None:
        """Click the row of each text, in whichever table has it."""
        for text in texts:
            self._row(text)
            self.settle()

    def shown(self) -> str:
        """All words of the page, tables' cells among them, without word joiners."""
        cells = self.page.locator("[data-testid=stMain] canvas [role=gridcell]").all_text_contents()
        words = self.main.inner_text() + "\n" + "\n".join(cells)
        return words.replace("\u2060", "").replace("\u00a0", " ")

    def part(self, name: str) -> None:
        """Choose a part of the page: one of the words beside each other at its top."""
        self.main.get_by_test_id("stButtonGroup").get_by_text(name).first.click()
        self.settle()

    def settle(self) -> None:
        """Wait until the script rests; a live page on a busy machine hardly does."""
        self.page.wait_for_timeout(300)
        with contextlib.suppress(Error):
            self.page.wait_for_selector(_QUIET, timeout=4_000)

    def picture(self, name: str) -> None:
        if self._folder is None:
            return
        self.page.wait_for_timeout(400)
        self._pictures += 1
        safe = re.sub(r"[^A-Za-z0-9-]+", "_", f"{self.name}-{self._pictures:02d}-{name}")[:90]
        self.page.screenshot(path=self._folder / f"{safe}.png")

    def _box(self, within: "Locator", kind: str, label: str) -> "Locator":
        named = self.page.get_by_test_id("stWidgetLabel").get_by_text(label, exact=True)
        return within.get_by_test_id(kind).filter(has=named).locator("visible=true").first

    def _last(self, word: str) -> "Locator":
        buttons = self.dialog.locator("button[data-testid=stBaseButton-primary]").locator("visible=true")
        return buttons.filter(has_text=re.compile(re.escape(word))).last

    def _row(self, text: str) -> None:
        grids = self.main.locator("[data-testid=stDataFrame]").locator("visible=true")
        grids.first.wait_for()
        cell = grids.locator("[role=gridcell]").get_by_text(text).first
        cell.wait_for(state="attached")
        grid = grids.filter(has=self.page.locator("[role=gridcell]").get_by_text(text)).first
        row = int(cell.locator("xpath=ancestor::*[@role='row'][1]").get_attribute("aria-rowindex") or 2)
        canvas = grid.locator("canvas").first
        canvas.evaluate("canvas => canvas.scrollIntoView({block: 'center'})")  # not at an edge, below a toast
        self.page.wait_for_timeout(500)  # the table takes clicks a moment after it is drawn
        box = canvas.bounding_box() or {"x": 0, "y": 0}
        self.page.mouse.click(box["x"] + 16, box["y"] + _ROW_PIXELS * (row - 1) + _ROW_PIXELS / 2)
        self.page.wait_for_timeout(700)


def _words(text: str) -> str:
    """A button's words without the name of its icon, which stands on a line of its own, and without its key."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if not re.fullmatch(r"[a-z0-9_]+", line)), "")
