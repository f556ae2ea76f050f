"""Tells systemd that a service does its work (sd_notify(3)), where its unit waits for that (Type=notify)."""

import logging
import os
import socket

_log = logging.getLogger("mailweir.ready")


def tell_ready() -> None:
    """Say so once; without systemd nothing happens. The variable goes, so that no child speaks for its parent."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect("\0" + address[1:] if address.startswith("@") else address)  # an abstract one, unix(7)
            out.sendall(b"READY=1")
    except OSError as error:
        _log.warning("systemd could not be told that this is ready: %s", error)
