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
    "exempt": Look("Exempt", "verified_user", "gray"),
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
    "fair": Look("Fair", "thumbs_up_down", "gray"),
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
    "seen once": Look("Seen once", "hourglass_top", "orange"),
    # addresses mail leaves from
    "active": Look("Active", "check_circle", "green"),
    "warming": Look("Warming up", "trending_up", "orange"),
    "quarantined": Look("Quarantined", "do_not_disturb_on", "red"),
    "retired": Look("Retired", "history", "gray"),
    "resting": Look("Resting", "bedtime", "orange"),
    "degraded": Look("Degraded", "trending_down", "orange"),
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
    text: str
    sequence: tuple[str, ...]  # of heat maps, from little to much


LIGHT = Palette(
    "#14877c",
    "#e5a02f",
    "#b3261e",
    "#6b7a86",
    "#1f4a63",
    "#e8edf1",
    "#ffffff",
    "#1b2730",
    ("#c3e6e0", "#a1d7cf", "#7dc6bd", "#58b4aa", "#369f95", "#14877c", "#0f6f66"),
)
DARK = Palette(
    "#3bb5a6",
    "#e5a63c",
    "#ea6a62",
    "#8b9ba7",
    "#8cc4e6",
    "#22303a",
    "#0f171d",
    "#e4ebf0",
    ("#14423e", "#19544e", "#1f675f", "#267b72", "#2e8f85", "#3bb5a6", "#62c8bb"),
)


def look(state: object) -> Look:
    """Find how a state is shown; what nobody knows is Unknown, in grey, with the word it came as."""
    text = str(state or "").strip().lower()
    if not text or text in ("nan", "none"):
        return UNKNOWN
    return LOOKS.get(text) or Look(text.replace("_", " ").capitalize(), "help", "gray")


def mixed(colour: str, other: str, share: float) -> str:
    """A colour with so much of another in it.

    >>> mixed("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = ((int(colour[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(one * (1 - share) + two * share):02x}" for one, two in pairs)


def palette() -> Palette:
    """The colours for the reader's background."""
    return DARK if st.context.theme.type == "dark" else LIGHT
