"""The suppression list on a page: search, why, add, remove, import, export. The relay keeps it; nothing is cached."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st

from dashboard import asking, data
from dashboard.asking import Wanted
from dashboard.components import notices, replies
from dashboard.components.table import Column, Kind, csv_of, table
from dashboard.components.words import code, count, label_of, plain, until
from dashboard.data import Reading, delivery
from relay.control.sheet import restored
from relay.control.suppression.suppressed import Reason
from relay.control.suppression.views import (
    SuppressionChanged,
    SuppressionOrder,
    SuppressionRemoval,
    SuppressionRow,
    SuppressionView,
)
from relay.tree import Role

ADD, REMOVE, IMPORT = "suppress_add", "suppress_remove", "suppress_import"
_PAGE, _MOST_IMPORTED, _AT_ONCE = 500, 100_000, 1_000
_EVERYBODY, _EVERY = "all accounts", "every list"
_FOR: dict[str, int | None] = {"for good": None, "30 days": 30, "180 days": 180}
_COLUMNS = [
    Column("address", "Recipient", width="medium"),
    Column("account", "List of"),
    Column("reason", "Why"),
    Column("evidence", "Evidence", width="large"),
    Column("created_at", "Since", Kind.INSTANT, format="D MMM YYYY HH:mm"),
    Column("ends", "Until"),
]


def section() -> None:
    """Search, the rows, and what can be done."""
    st.subheader("Suppression list", anchor=False)
    st.caption("Recipients that get no mail of an account, or of anybody. A message to one is refused at once.")
    address, account, reason = _search()
    reading = delivery.suppressions(account, address, reason, "", _PAGE)
    notices.troubles(data.now(), analytics=[], relay=[reading])
    _buttons(account)
    with notices.aged("suppressions", reading):
        chosen = _rows(reading, is_searched=bool(address or reason or account is not None))
    if chosen:
        _why(chosen)


def _search() -> tuple[str, str | None, str]:
    accounts = delivery.account_names()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        address = st.text_input("Recipient", key="recipient", bind="query-params", placeholder="ann@example.com")
        whose = st.selectbox("List of", [_EVERY, _EVERYBODY, *accounts], key="list_of", width=200)
        reasons = ["", *Reason]
        reason = st.selectbox("Why", reasons, key="why", format_func=lambda one: label_of(one) or "any", width=180)
    account = None if whose == _EVERY else "" if whose == _EVERYBODY else str(whose)
    return (address or "").strip().lower(), account, str(reason or "")


def _buttons(account: str | None) -> None:
    if not data.reader().may(Role.ABUSE):
        return
    target = account if account is not None else ""
    with st.container(horizontal=True):
        asking.button("Suppress", "block", Wanted(ADD, target))
        asking.button("Import", "upload", Wanted(IMPORT, target))
        st.download_button(
            "Export",
            data=lambda: _export(account),
            file_name="suppressions.csv",
            mime="text/csv",
            key="suppress_export",
            on_click="ignore",
            icon=":material/download:",
            help="All rows in force, as `mailweir suppress export` writes them; import reads them again.",
        )


def _rows(reading: Reading[list[SuppressionView]], *, is_searched: bool) -> SuppressionView | None:
    if not reading.value:
        if reading.as_of is not None:
            words = (
                "Nobody is suppressed like this: mail may go there."
                if is_searched
                else "Nobody is suppressed. Hard bounces, complaints and unsubscriptions come here by themselves, or:"
            )
            notices.empty(words, command="" if is_searched else "mailweir suppress add ann@example.com --global")
        return None
    now = data.now()
    frame = pd.DataFrame(
        [
            {
                "address": row.address,
                "account": row.account or _EVERYBODY,
                "reason": label_of(row.reason),
                "evidence": row.evidence,
                "created_at": row.created_at,
                "ends": "for good" if row.ends_at is None else until(row.ends_at, now).removeprefix("until "),
                "id": f"{row.account}|{row.address}",
            }
            for row in reading.value
        ]
    )
    chosen = table(frame, _COLUMNS, key="suppressions", ids="id", name="suppressions")
    if len(reading.value) == _PAGE:
        st.caption(f"The first {_PAGE}; search for a recipient, or export all.")
    return next((row for row in reading.value if f"{row.account}|{row.address}" == chosen), None)


def _why(row: SuppressionView) -> None:
    with st.container(border=True):
        whose = f"account {code(row.account)}" if row.account else "all accounts"
        st.markdown(
            f":red-badge[:material/block: Suppressed] {code(row.address)} for {whose}, because of "
            f"**{plain(label_of(row.reason).lower())}**. {plain(row.evidence)}"
        )
        if data.reader().may(Role.ABUSE):
            asking.button("Allow again", "lock_open", Wanted(REMOVE, f"{row.account}|{row.address}"))
        st.caption("What was tried to send there, in the window:")
        replies.tries(recipient=row.address)


@st.dialog("Suppress recipients", icon=":material/block:", on_dismiss=asking.close)
def add(wanted: Wanted) -> None:
    text = st.text_area("Recipients", key="suppress_addresses", placeholder="one address a line")
    because = st.selectbox("Why", list(Reason), list(Reason).index(Reason.BY_HAND), format_func=label_of)
    lasts = _FOR[st.selectbox("For", list(_FOR), key="suppress_for")]
    evidence = st.text_input("Evidence", key="suppress_evidence", placeholder="what shows it (optional)")
    addresses = [line.strip() for line in text.splitlines() if line.strip()]
    if not addresses:
        st.caption("What would follow is shown when there is an address.")
        return
    ends_at = None if lasts is None else datetime.now(UTC) + timedelta(days=lasts)
    rows = [
        SuppressionRow(address=one, reason=Reason(str(because)), evidence=evidence, ends_at=ends_at)
        for one in addresses
    ]
    _order(wanted.target, rows, "Suppress")


@st.dialog("Import a list", icon=":material/upload:", on_dismiss=asking.close)
def bring(wanted: Wanted) -> None:
    st.caption("CSV with a column `address`, and if you like reason, evidence, ends_at; or an address a line.")
    file = st.file_uploader("File", type=["csv", "txt"], key="suppress_file", label_visibility="collapsed")
    if file is None:
        return
    try:
        rows = read(file.getvalue())
    except ValueError as error:
        st.error(f"**Nothing was taken.** {plain(str(error))}", icon=":material/error:")
        return
    _order(wanted.target, rows, "Import")


@st.dialog("Allow again", icon=":material/lock_open:", on_dismiss=asking.close)
def remove(wanted: Wanted) -> None:
    account, _, address = wanted.target.partition("|")
    st.markdown(code(address))
    preview = asking.attempt(
        lambda relay: relay.unsuppress(SuppressionRemoval(addresses=[address], account=account, dry_run=True))
    )
    if preview is None:
        return
    st.markdown(
        f"- {_whose(account).capitalize()} may write there again, from the next message on.\n"
        "- If the address does not exist, the next bounce suppresses it anew.\n" + _logged()
    )
    if asking.confirmed("Allow", "lock_open"):
        done = asking.attempt(lambda relay: relay.unsuppress(SuppressionRemoval(addresses=[address], account=account)))
        if done is not None:
            asking.finish(f"{plain(address)} gets mail again.", done.undo)


DIALOGS: asking.Dialogs = {ADD: add, IMPORT: bring, REMOVE: remove}


def read(raw: bytes) -> list[SuppressionRow]:
    """Read a CSV file as `mailweir suppress export` writes it. Raises ValueError naming the line."""
    try:
        lines = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"it is no CSV in UTF-8: {error}") from None
    names, rows = ["address"], []
    for number, cells in enumerate(lines, 1):
        if not any(cell.strip() for cell in cells):
            continue
        if number == 1 and "@" not in "".join(cells):
            names = [cell.strip().lower() for cell in cells]
            if "address" not in names:
                raise ValueError("its header has no column `address`")
            continue
        rows.append(_row(number, dict(zip(names, (restored(cell.strip()) for cell in cells), strict=False))))
    if not rows:
        raise ValueError("there is no address in it")
    if len(rows) > _MOST_IMPORTED:
        raise ValueError(f"more than {_MOST_IMPORTED:,} rows: use `mailweir suppress import FILE.csv`")
    return rows


def _row(number: int, found: dict[str, str]) -> SuppressionRow:
    try:
        return SuppressionRow(
            address=found["address"],
            reason=Reason(found.get("reason") or Reason.BY_HAND),
            evidence=found.get("evidence", ""),
            created_at=_instant(found.get("created_at", "")),
            ends_at=_instant(found.get("ends_at", "")),
        )
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _order(account: str, rows: list[SuppressionRow], word: str) -> None:
    preview = _sent(account, rows, dry_run=True)
    if preview is None:
        return
    st.markdown(
        f"- **{count(preview.added)}** new, {count(preview.replaced)} replaced, for **{plain(_whose(account))}**.\n"
        "- Mail to them is refused at once; what waits already is not touched.\n" + _logged()
    )
    if asking.confirmed(word, "block"):
        done = _sent(account, rows, dry_run=False)
        if done is not None:
            asking.finish(f"Suppressed: {count(done.added)} new, {count(done.replaced)} replaced.", done.undo)


def _sent(account: str, rows: list[SuppressionRow], *, dry_run: bool) -> SuppressionChanged | None:
    """In parts, as the relay takes them; None when one was refused."""
    added = replaced = 0
    undo = ""
    for at in range(0, len(rows), _AT_ONCE):
        order = SuppressionOrder(rows=rows[at : at + _AT_ONCE], account=account, dry_run=dry_run)
        done: SuppressionChanged | None = asking.attempt(lambda relay, order=order: relay.suppress(order))  # type: ignore[misc]
        if done is None:
            return None
        added, replaced, undo = added + done.added, replaced + done.replaced, done.undo if len(rows) <= _AT_ONCE else ""
    return SuppressionChanged(added=added, replaced=replaced, undo=undo, dry_run=dry_run)


def _export(account: str | None) -> bytes:
    relay, rows, after = data.relay_client(), [], ""
    while page := relay.suppressions(account, after=after, limit=10_000):
        rows += page
        after = f"{page[-1].account}|{page[-1].address}"
    names = ["account", "address", "reason", "evidence", "created_at", "ends_at"]
    return csv_of(pd.DataFrame([{name: getattr(row, name) for name in names} for row in rows], columns=names))


def _whose(account: str) -> str:
    return f"account {account}" if account else _EVERYBODY


def _logged() -> str:
    return f"- The audit log keeps it under `{data.reader().principal.id}`."
