"""One submission as a customer's server makes it: a session of its own, AUTH, one message."""

import asyncio
import base64
from zlib import crc32

from analytics.simulation.trial.mail import Mail

NUMBER_FIELD = b"X-Trial"


async def submit(port: int, mail: Mail, password: str) -> tuple[int, str]:
    """Return the relay's last reply: to the final dot, or the refusal before it. Raises OSError, EOFError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(_loopback(mail.client_ip), 0))
    try:
        await _reply(reader)
        login = mail.actor.account.name
        secret = base64.b64encode(f"\0{login}\0{password}".encode()).decode()
        code, text = 0, ""
        for command in (
            f"EHLO mail.{mail.actor.end.domain}",
            f"AUTH PLAIN {secret}",
            f"MAIL FROM:<{mail.actor.end.mail_from}>",
            f"RCPT TO:<{mail.recipient}>",
            "DATA",
        ):
            writer.write(command.encode() + b"\r\n")
            code, text = await _reply(reader)
            if code >= 400:
                return code, text
        writer.write(content_of(mail) + b".\r\n")
        return await _reply(reader)
    finally:
        writer.close()


def content_of(mail: Mail) -> bytes:
    """The text with its number and, of a shared server, who was logged in; dots stuffed, CRLF at the end."""
    user = mail.actor.end.auth_user
    named = b"" if not user or b"\nX-AuthUser:" in mail.text.raw else f"X-AuthUser: {user}\r\n".encode()
    content = NUMBER_FIELD + f": {mail.number}\r\n".encode() + named + mail.text.raw
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    return content.replace(b"\n.", b"\n..")


async def _reply(reader: asyncio.StreamReader) -> tuple[int, str]:
    while True:
        line = await reader.readline()
        if not line:
            raise EOFError("the relay closed the session")
        if line[3:4] != b"-":
            return int(line[:3]), line[4:].decode("utf-8", "replace").strip()


def _loopback(client_ip: str) -> str:
    """An address of loopback for each client, as the relay counts errors and connections by address."""
    if client_ip.startswith("127."):
        return client_ip
    number = crc32(client_ip.encode())
    return f"127.{64 + number % 128}.{number // 128 % 256}.{1 + number // 32_768 % 254}"
