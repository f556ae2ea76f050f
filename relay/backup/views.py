"""What the control API answers about a backup's cut."""

from datetime import datetime

import msgspec


class CutView(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/backup/cut: what is staged in `spool/.backup` and `journal/.backup` (spool/cut.py).

    `journal`: names and bytes at the cut. The asker copies and clears."""

    cut_at: datetime
    journal: list[tuple[str, int]]
    messages: int
    recipients: int
