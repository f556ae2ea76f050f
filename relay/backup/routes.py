"""The running relay's part of a backup: the cut through spool and journal, and its route of the control API."""

from starlette.requests import Request

from relay.backup.views import CutView
from relay.clock import Clock
from relay.control.access import require, require_whole_tree
from relay.control.audit.chain import Act
from relay.control.errors import StateFailure
from relay.control.requests import Routes
from relay.control.state.memory import State
from relay.spool.cut import CutFailed, Cuts
from relay.tree import Principal, Role


class BackupRoutes:
    """One method per route."""

    def __init__(self, cuts: Cuts, state: State, clock: Clock) -> None:
        self._cuts, self._state, self._clock = cuts, state, clock

    def table(self) -> Routes:
        return [("POST", "/v1/backup/cut", self.cut, 201)]

    async def cut(self, principal: Principal, request: Request) -> CutView:
        """Stage a cut in the data folder. Its files hold mail: the answer names them only."""
        require(principal, Role.ADMIN)
        require_whole_tree(principal, "take backups")
        cut_at = self._clock.now()
        try:
            cut = await self._cuts.take()
        except CutFailed as error:
            raise StateFailure(str(error)) from error
        await self._state.note(principal, Act("backup.cut", "", "spool", {"messages": cut.messages}))
        return CutView(cut_at=cut_at, journal=cut.journal, messages=cut.messages, recipients=cut.recipients)
