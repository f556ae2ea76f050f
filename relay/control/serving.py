"""Serves an ASGI application inside a running event loop, without taking over signals, logs or the process."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
from starlette.applications import Starlette

# Open connections (a browser's keep-alive) may not hold up a stop for longer.
_STOP_SECONDS = 3


@contextlib.asynccontextmanager
async def serve(
    app: Starlette,
    host: str,
    port: int,
    *,
    protocol: Callable[..., asyncio.Protocol] | None = None,
    stop_seconds: float = _STOP_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Serve while the block runs; gives the port, which differs from `port` when that is 0. Raises OSError.

    `protocol` makes uvicorn's protocol for each connection. Running requests may finish within stop_seconds.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=protocol or "auto",  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=stop_seconds,  # type: ignore[arg-type]
    )
    config.load()
    config.ssl = tls
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    # Bound here: uvicorn would end the process when the port is taken.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
