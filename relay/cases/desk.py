"""What an abuse desk works with beside decisions and held mail, together."""

from relay.cases.alarms import AlarmDesk
from relay.cases.notes import NoteDesk
from relay.cases.signals import SignalDesk
from relay.clock import Clock
from relay.control.questions import Questions
from relay.control.state.memory import State


class CaseDesk:
    """One desk per subject; each checks the principal's role and scope itself."""

    def __init__(self, state: State, questions: Questions, clock: Clock, signals: SignalDesk) -> None:
        self.alarms, self.notes, self.signals = AlarmDesk(state, clock), NoteDesk(state, questions, clock), signals
