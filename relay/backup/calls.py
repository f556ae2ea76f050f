"""The control API's call for a backup, as its client's method."""

from relay.backup.views import CutView
from relay.control.accounts.calls import AccountCalls


class BackupCalls(AccountCalls):
    """What ControlClient inherits."""

    def cut(self) -> CutView:
        """Have spool and journal cut at one instant and staged in the data folder."""
        return self._ask("POST", "/v1/backup/cut", CutView, body=b"{}")
