"""Have a job of analytics run now, and take up what the settings file says."""

from collections.abc import Sequence

import streamlit as st

from analytics.client import QueryClient
from dashboard import data
from dashboard.components.orders import Order, Reach, attempt, do_it, finish, may, offer
from dashboard.components.words import code, label_of, plain
from relay.control.client import base_url
from relay.control.views import KeyChange, ReloadOrder
from relay.tree import Role

_SECONDS = 120.0  # a job is waited for so long; it goes on all the same


def show() -> None:
    """The orders about processes; nothing for a reader who may give none."""
    if not may(Role.OPERATOR, Reach.WHOLE):
        return
    with st.container(horizontal=True):
        offer("Run a job now", _RUN, key="job_run", reach=Reach.WHOLE)
        offer("Compare the settings file", _RELOAD, key="settings_reload", reach=Reach.WHOLE)


def _run(_target: str) -> None:
    names = [str(name) for name in data.query("jobs").value["job"]]
    name = st.selectbox("Job", names, format_func=label_of, key="job_name")
    st.caption("It runs beside the others, as at its own time; a job that runs already is not run twice.")
    if do_it("Run", "play_arrow", is_ready=bool(name)):
        with st.spinner("Running"):
            done = attempt(lambda _relay: _runs(str(name)))
        if done is not None and done["error"]:
            st.error(f"**It failed.** {plain(str(done['error']))}", icon=":material/error:")
            return
        detail = str((done or {}).get("detail") or "nothing was to be done")
        finish(done, f"{label_of(str(name))} ran: {detail}")


def _runs(name: str) -> dict[str, object]:
    chosen, token = data.settings(), data.reader().token
    url = base_url(chosen.analytics.listen)
    with (
        QueryClient(url, token, timeout_seconds=_SECONDS)
        if token
        else QueryClient.of(chosen, "dashboard", timeout_seconds=_SECONDS)
    ) as client:
        return client.run_job(name)


def _reload(_target: str) -> None:
    plan = attempt(lambda relay: relay.reload(ReloadOrder(dry_run=True)))
    if plan is None:
        return
    for words, keys in (
        ("would be taken up at once", plan.taken_up),
        ("need a restart", plan.needs_restart),
        ("are overruled by the applied policy", plan.overruled),
    ):
        if keys:
            st.markdown(f"These keys of the file {words}:\n" + "".join(_change(key, plan.changes) for key in keys))
    if not (plan.taken_up or plan.needs_restart or plan.overruled):
        st.markdown("The relay runs by what stands in the settings file: no key differs.")
    if do_it("Take it up", "sync", is_ready=bool(plan.taken_up)):
        finish(attempt(lambda relay: relay.reload(ReloadOrder())), f"Taken up: {', '.join(plan.taken_up)}")


def _change(key: str, changes: Sequence[KeyChange]) -> str:
    """A line of Markdown: from what to what, where that is known."""
    found = next((one for one in changes if one.key == key), None)
    words = f": now {code(found.before or 'nothing')}, in the file {code(found.after or 'nothing')}" if found else ""
    return f"- {code(key)}{words}\n"


_RUN = Order("Run a job now", "play_arrow", _run)
_RELOAD = Order("The settings file and what is in force", "difference", _reload)
