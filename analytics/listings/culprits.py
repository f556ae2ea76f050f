"""Who most likely caused that an address was named, as alarms and the audit log say it."""

from datetime import datetime

from analytics.serving.ask import ask
from analytics.warehouse import Warehouse
from relay.tree import Scope

_MOST = 10


def likeliest(warehouse: Warehouse, address: str, at: datetime, destination: str = "") -> list[str]:
    """Sender and probability, likeliest first; `destination`: by mail that went there only."""
    given = {"address": address, "destination": destination, "moment": at.isoformat(), "limit": _MOST}
    rows = ask(warehouse, "culprits", given, Scope(), at).to_pylist()
    return [f"{row['sender']} {row['probability']:.0%}" for row in rows if row["sender"]]
