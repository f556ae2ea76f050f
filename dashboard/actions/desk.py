"""The desk of the actions on senders and decisions (this room)."""

from dashboard.acting import Desk

DESK = Desk("action", "dialog", "Mod+Enter")

close, do_it, finish = DESK.close, DESK.answered, DESK.done
