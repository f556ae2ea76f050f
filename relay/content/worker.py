"""One content worker: reads batches from its socket, answers them, ends at end of file.

Forked from the template; knows nothing of other messages and keeps no state but caches.
"""

import logging
import os
import signal
import socket

from relay.content.assess import Assessor
from relay.content.protocol import KeyChange, Ready, decode_order, extra_seconds, framed, receive

_log = logging.getLogger("mailweir.content")


def serve(sock: socket.socket, assessor: Assessor, timeout_seconds: float) -> None:
    """Answer batches until main closes its end."""
    sock.setblocking(True)
    sock.sendall(framed(Ready(os.getpid())))
    # Main kills a worker that hangs. If main is gone too, nobody would: SIGALRM's default action ends this process.
    last_resort_seconds = timeout_seconds * 2 + 5
    while (body := receive(sock)) is not None:
        order = decode_order(body)
        if isinstance(order, KeyChange):
            assessor.ring.change(order)
            continue
        signal.setitimer(signal.ITIMER_REAL, last_resort_seconds + 2 * extra_seconds(order))
        sock.sendall(framed(assessor.assess(order)))
        signal.setitimer(signal.ITIMER_REAL, 0)
