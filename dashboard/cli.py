"""`mailweir dashboard`: the pages on one address, in the foreground, until SIGTERM or Ctrl-C."""

import logging
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli import Context

if TYPE_CHECKING:
    from streamlit.starlette import App

    from relay.settings import Settings

_log = logging.getLogger("mailweir.dashboard")

STOP_SECONDS = 1  # open pages hold a websocket each, which would keep a patient server alive for ever


@click.command("dashboard")
@click.pass_obj
def serve(context: Context) -> None:
    """Run the dashboard alone."""
    from relay import log

    log.setup("dashboard")
    settings = context.settings()
    door = _bind(settings.dashboard.listen)
    host, port = door.getsockname()[:2]
    _log.info("listening url=http://%s:%d", f"[{host}]" if ":" in host else host, port)
    has_started = _serve(door, settings)
    _log.info("stopped")
    sys.exit(0 if has_started else 1)


def _bind(listen: str) -> socket.socket:
    """Take the address before the slow imports, so that a port in use is said at once. Raises SettingsError."""
    from relay.running.ports import taken
    from relay.settings import SettingsError, split_listen

    if conflict := taken(listen):
        raise SettingsError(f"dashboard.listen: {conflict}; stop it, or listen elsewhere")
    host, port = split_listen(listen)
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind((host, port))
    return door


def _serve(door: socket.socket, settings: "Settings") -> bool:
    import uvicorn

    from relay.running.ready import tell_ready

    class Told(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            tell_ready()

    server = Told(
        uvicorn.Config(_app(settings), log_config=None, access_log=False, timeout_graceful_shutdown=STOP_SECONDS)
    )
    # uvicorn raises a caught signal once more when it has stopped: then, and not before, it finds this handler
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    server.run(sockets=[door])
    return server.started


def _app(settings: "Settings") -> "App":
    """The ASGI application: Streamlit's, with a /healthz that does not need a page, a door, and calm errors."""
    import streamlit as st
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from streamlit.starlette import App

    import relay
    from dashboard.entry.door import Door, sign_in_routes
    from dashboard.entry.keeper import keeper_of
    from dashboard.entry.provider import login_secrets

    keeper, secrets = keeper_of(settings), login_secrets(settings)

    async def healthz(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "version": relay.__version__})

    def say_calmly(error: Exception) -> bool:
        _log.error("page failed", exc_info=error)
        st.error(
            "**This page could not be drawn.** The dashboard's log says why; mail is not touched by it. "
            "Reload the page, or look at another one.",
            icon=":material/error:",
        )
        return True

    return App(
        Path(__file__).with_name("app.py"),
        routes=[Route("/healthz", healthz), *sign_in_routes(keeper)],
        middleware=[Middleware(Door, keeper=keeper)],
        on_script_error=say_calmly,
        secrets=secrets or None,
    )
