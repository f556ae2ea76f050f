"""What a verdict looks like: one word, one icon and one colour for each, everywhere.

The colours of the charts repeat those of .streamlit/config.toml, which Streamlit's own widgets take; a test holds both
together. Unknown is grey, never green, and no meaning is told by colour alone.
"""

from dataclasses import dataclass
from typing import Literal

import streamlit as st

Colour = Literal["green", "orange", "red", "gray", "blue"]


@dataclass(frozen=True, slots=True)
class Look:
    """How one state is shown. `word` stands alone in a table; word and icon together in a badge."""

    word: str
    icon: str
    colour: Colour

    @property
    def badge(self) -> str:
        """The state as a Markdown badge."""
        return f":{self.colour}-badge[:material/{self.icon}: {self.word}]"


UNKNOWN = Look("Unknown", "help", "gray")

# Keys are the words of events, decisions, the warehouse and the jobs, so that a page can look up what it was told.
LOOKS: dict[str, Look] = {
    # actions
    "accept": Look("Accepted", "check_circle", "green"),
    "hold": Look("Held", "front_hand", "orange"),
    "defer": Look("Deferred", "schedule", "orange"),
    "reject": Look("Refused", "block", "red"),
    # standings
    "ok": Look("OK", "check_circle", "green"),
    "new": Look("New", "fiber_new", "gray"),
    "watch": Look("Watched", "visibility", "gray"),
    "throttled": Look("Throttled", "speed", "orange"),
    "held": Look("Held", "front_hand", "orange"),
    "blocked": Look("Blocked", "block", "red"),
    "suspended": Look("Suspended", "do_not_disturb_on", "red"),
    # effects of decisions
    "throttle": Look("Throttled", "speed", "orange"),
    "block": Look("Blocked", "block", "red"),
    "suspend": Look("Suspended", "do_not_disturb_on", "red"),
    "multiply": Look("Limit changed", "tune", "orange"),
    "release": Look("Released", "lock_open", "green"),
    "released": Look("Released", "lock_open", "green"),
    "confirm": Look("Confirmed", "gavel", "gray"),
    "confirmed": Look("Confirmed", "gavel", "gray"),
    "ended": Look("Ended", "history", "gray"),
    # what became of a message
    "accepted": Look("Accepted", "check_circle", "green"),
    "refused": Look("Refused", "block", "red"),
    "partly delivered": Look("Partly delivered", "mark_email_unread", "orange"),
    "delivered": Look("Delivered", "mark_email_read", "green"),
    "deferred": Look("Deferred", "schedule", "orange"),
    "bounced": Look("Bounced", "undo", "red"),
    "expired": Look("Expired", "timer_off", "red"),
    "dropped": Look("Dropped", "delete", "gray"),
    "waiting": Look("Waiting", "hourglass_empty", "gray"),
    # bands of reputation
    "good": Look("Good", "thumb_up", "green"),
    "neutral": Look("Neutral", "trending_flat", "gray"),
    "poor": Look("Poor", "thumb_down", "orange"),
    "bad": Look("Bad", "thumb_down", "red"),
    # processes, jobs, DNS lists
    "up": Look("Running", "check_circle", "green"),
    "down": Look("Does not answer", "cloud_off", "red"),
    "behind": Look("Behind", "hourglass_empty", "orange"),
    "running": Look("Running", "sync", "gray"),
    "failed": Look("Failed", "error", "red"),
    "error": Look("Failed", "error", "red"),
    "missed": Look("Missed", "event_busy", "orange"),
    "listed": Look("Listed", "report", "red"),
    "clean": Look("Clean", "check_circle", "green"),
    "parked": Look("Parked", "dangerous", "gray"),
    "healthy": Look("Healthy", "check_circle", "green"),
}


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of the charts, for one background."""

    accepted: str
    held: str
    refused: str
    neutral: str
    ink: str
    grid: str
    background: str


LIGHT = Palette("#14877c", "#e5a02f", "#b3261e", "#6b7a86", "#1f4a63", "#e8edf1", "#ffffff")
DARK = Palette("#3bb5a6", "#e5a63c", "#ea6a62", "#8b9ba7", "#8cc4e6", "#22303a", "#0f171d")


def look(state: object) -> Look:
    """Find how a state is shown; what nobody knows is Unknown, in grey, with the word it came as."""
    text = str(state or "").strip().lower()
    if not text or text in ("nan", "none"):
        return UNKNOWN
    return LOOKS.get(text) or Look(text.replace("_", " ").capitalize(), "help", "gray")


def palette() -> Palette:
    """The colours for the reader's background."""
    return DARK if st.context.theme.type == "dark" else LIGHT
