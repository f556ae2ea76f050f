"""All doors of the query API, without an installation behind them: for its OpenAPI document."""

from analytics.backup.doors import BackupDoors
from analytics.inbox.doors import InboxDoors
from analytics.privacy.doors import PrivacyDoors
from analytics.search.door import SearchDoor
from analytics.serving.openapi import Table
from analytics.serving.service import QueryApi
from analytics.usage.door import UsageDoor


def bare_table() -> Table:
    """Return all doors without an installation behind them: they can be read, not called."""
    # a table names its methods only
    more = InboxDoors.__new__(InboxDoors), BackupDoors.__new__(BackupDoors), PrivacyDoors.__new__(PrivacyDoors)
    rooms = QueryApi.__new__(QueryApi), SearchDoor.__new__(SearchDoor), UsageDoor.__new__(UsageDoor), *more
    return [route for room in rooms for route in room.table()]
