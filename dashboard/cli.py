"""`mailweir dashboard`: the pages on one address, in the foreground, until SIGTERM or Ctrl-C."""

import logging
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streamlit.starlette import App

_log = logging.getLogger("mailweir.dashboard")

STOP_SECONDS = 2  # open pages hold a websocket each, which would keep a patient server alive for ever


@click.command("dashboard")
@click.option("--listen", metavar="HOST:PORT", default="", help="instead of the setting dashboard.listen")
def serve(listen: str) -> None:
    """Show the pages: what happens to the mail, why, and what to do about it."""
    from relay import log, settings

    try:
        chosen = settings.load()
        host, port = settings.split_listen(listen or chosen.dashboard.listen)
    except settings.SettingsError as error:
        raise click.ClickException(str(error)) from None
    log.setup("dashboard")
    door = _bind(host, port)
    address = f"http://{host}:{door.getsockname()[1]}"
    _log.info("dashboard listening url=%s dir=%s", address, chosen.dir)
    _run(door)
    _log.info("dashboard stopped")


def _bind(host: str, port: int) -> socket.socket:
    """Take the address before the slow imports, so that a port in use is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
    except OSError as error:
        raise click.ClickException(
            f"dashboard.listen = {host}:{port} cannot be used: {error.strerror}. "
            "Stop what listens there, or choose another port in the setting or with --listen."
        ) from None
    return door


def _run(door: socket.socket) -> None:
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(
            _app(),
            log_config=None,
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    server.run(sockets=[door])
    if not server.started:
        sys.exit(1)


def _app() -> "App":
    """The ASGI application: Streamlit's, with a /healthz that does not need a page, and calm errors."""
    import streamlit as st
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from streamlit.starlette import App

    import relay

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

    return App(Path(__file__).with_name("app.py"), routes=[Route("/healthz", healthz)], on_script_error=say_calmly)
