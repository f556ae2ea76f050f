"""Who goes first where cores are scarce: ingestion before questions, so that a busy desk never makes it fall behind."""

import os
import sys
import threading

_NICENESS = 5  # a third of the weight of what is not nice: still something when the writer never rests


def give_way() -> None:
    """Make the calling thread nicer, and with it the threads it will make; only Linux has this by thread."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(19, now + _NICENESS))
