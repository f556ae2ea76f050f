"""From a request's body to what SMTP would have been told: sender, recipients, content. Pure.

Recipients are taken or refused one by one, as at RCPT; anything else that is wrong refuses the whole. The content goes
through the same checks as that of DATA.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from relay.front.canonical import canonical
from relay.front.compose import Letter, compose, decoded, listed
from relay.front.mailbox import Mailbox, clean, parse_address, parse_mailbox
from relay.front.web.answers import Fate, RecipientResult, WebRefusal
from relay.reception.admission import Admission
from relay.reply import PermanentError, RelayError, Reply, printable
from relay.settings import Smtp

_decode = msgspec.json.Decoder(Letter).decode

_FIELDS_BYTES = 65_536  # what a letter takes beside its content
_TOLD_ADDRESS = 320  # characters of a refused address in the answer: RFC 5321 allows 64 + 1 + 255
_LISTED_FACTOR = 10  # refused one by one up to so many times smtp.max_recipients, then as a whole

_TAKEN = Reply(250, "2.1.5", "recipient ok")
_TOO_MANY = Reply(452, "4.5.3", "too many recipients")
_FAR_TOO_MANY = Reply(554, "5.5.3", "too many recipients for one request")
_NO_RECIPIENTS = Reply(554, "5.5.1", "no valid recipients")
_NO_SENDER = Reply(501, "5.5.4", "the envelope is missing: give from= and to=, or X-Mailweir-From and X-Mailweir-To")
_NOT_UTF8 = Reply(553, "5.6.7", "address is not UTF-8")
_TOO_BIG = Reply(552, "5.3.4", "message too big")
_MIXED = Reply(501, "5.5.4", "raw stands for the whole message: give only from, to and the envelope with it")


@dataclass(frozen=True, slots=True)
class Draft:
    """One message as a door hands it over; `results` has every recipient asked for, `refused` some and the
    replies to them ("" for an address that cannot be read)."""

    mail_from: str
    recipients: tuple[str, ...]
    results: list[RecipientResult]
    refused: list[tuple[str, Reply]]
    content: bytes
    is_8bit: bool
    is_smtputf8: bool

    def admitted(self, admission: Admission) -> "Draft":
        """Return the draft with those recipients for whom there is room, reserved from now on."""
        return self.checked(admission.add)

    def checked(self, check: Callable[[str], object]) -> "Draft":
        """Return the draft without those recipients for whom `check` raises RelayError."""
        kept, refused, results = [], [*self.refused], {each.address: each for each in self.results}
        for address in self.recipients:
            try:
                check(address)
            except RelayError as error:
                refused.append((address, error.reply))
                status = Fate.DEFERRED if error.reply.is_transient else Fate.REFUSED
                results[address] = RecipientResult(address=address, status=status, reply=str(error.reply))
            else:
                kept.append(address)
        return replace(self, recipients=tuple(kept), refused=refused, results=list(results.values()))


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope as a client wrote it, not looked at yet."""

    mail_from: str
    recipients: Sequence[str]


def largest_body(max_size_bytes: int) -> int:
    """Return what a JSON body may have: base64 in lines, their ends escaped, makes 80 characters of 57 bytes."""
    return max_size_bytes * 80 // 57 + _FIELDS_BYTES


def envelope_of(request: Request) -> Envelope:
    """Return the envelope beside a message/rfc822 body. Raises WebRefusal when there is none."""
    headers, query = request.headers, request.query_params
    mail_from = query.get("from", headers.get("x-mailweir-from"))
    recipients = query.getlist("to") or [
        text.strip() for value in headers.getlist("x-mailweir-to") for text in value.split(",")
    ]
    if mail_from is None or not recipients:
        raise WebRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, _NO_SENDER)
    try:  # Starlette reads header values as Latin-1; addresses are UTF-8
        if "from" not in query:
            mail_from = mail_from.encode("latin-1").decode()
        if "to" not in query:
            recipients = [text.encode("latin-1").decode() for text in recipients]
    except UnicodeError:
        raise WebRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, _NOT_UTF8) from None
    return Envelope(mail_from, recipients)


def draft_of_message(content: bytes | bytearray, envelope: Envelope, settings: Smtp) -> Draft:
    """Make a draft of a finished message. Raises PermanentError, with the reply DATA would give."""
    if len(envelope.recipients) > _LISTED_FACTOR * settings.max_recipients:
        raise PermanentError(_FAR_TOO_MANY)
    taken = _Taken(settings.max_recipients)
    for text in envelope.recipients:
        taken.add(clean(text, "to"), _bare)
    return taken.draft(_sender(envelope.mail_from), _checked(bytes(content), settings), is_utf8=False)


def draft_of_json(body: bytes | bytearray, settings: Smtp) -> Draft:
    """Make a draft of a letter in JSON. Raises PermanentError; its reply names the field that is wrong."""
    letter = _letter(body)
    asked = {"to": listed(letter.to), "cc": listed(letter.cc), "bcc": listed(letter.bcc)}
    envelope_to = letter.envelope_to
    if max(sum(map(len, asked.values())), len(envelope_to or ())) > _LISTED_FACTOR * settings.max_recipients:
        raise PermanentError(_FAR_TOO_MANY)
    taken, shown = _Taken(settings.max_recipients), {}
    for field, texts in asked.items():
        cleaned = [clean(text, field) for text in texts]
        if envelope_to is None:
            shown[field] = [mailbox for text in cleaned if (mailbox := taken.add(text, parse_mailbox))]
        else:
            shown[field] = [parse_mailbox(text) for text in cleaned]
    for text in envelope_to or ():
        taken.add(clean(text, "envelope_to"), _bare)
    mail_from = _sender(_author(letter) if letter.envelope_from is None else letter.envelope_from)
    if letter.raw is not None:
        content, is_utf8 = _checked(decoded(letter.raw, "raw"), settings), False
    else:
        content, is_utf8 = compose(letter, {"To": shown["to"], "Cc": shown["cc"]})  # never Bcc (RFC 5322 3.6.3)
        _check_size(content, settings)
    return taken.draft(mail_from, content, is_utf8=is_utf8)


class _Taken:
    """The recipients of one message, in the order in which they were asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._addresses: dict[str, None] = {}
        self._results: list[RecipientResult] = []
        self._refused: list[tuple[str, Reply]] = []

    def add(self, text: str, parse: Callable[[str], Mailbox]) -> Mailbox | None:
        """Take a recipient, once, or note why not."""
        address = ""
        try:
            mailbox = parse(text)
            address = mailbox.address
            if mailbox.address in self._addresses:
                return mailbox
            if len(self._addresses) >= self._most:
                raise RelayError(_TOO_MANY)
        except RelayError as error:
            status = Fate.DEFERRED if error.reply.is_transient else Fate.REFUSED
            self._results.append(RecipientResult(address=text[:_TOLD_ADDRESS], status=status, reply=str(error.reply)))
            self._refused.append((address, error.reply))
            return None
        self._addresses[mailbox.address] = None
        self._results.append(RecipientResult(address=mailbox.address, status=Fate.QUEUED, reply=str(_TAKEN)))
        return mailbox

    def draft(self, mail_from: str, content: bytes, *, is_utf8: bool) -> Draft:
        """Make the draft. Raises PermanentError when nobody was asked for."""
        if not self._results:
            raise PermanentError(_NO_RECIPIENTS)
        recipients = tuple(self._addresses)
        needs_utf8 = is_utf8 or not all(map(str.isascii, (mail_from, *recipients)))
        return Draft(mail_from, recipients, self._results, self._refused, content, not content.isascii(), needs_utf8)


def _letter(body: bytes | bytearray) -> Letter:
    try:
        letter = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = str(error) if isinstance(error, msgspec.DecodeError) else "it is not UTF-8, or too deep"
        if "unknown field" in text:  # whose name is the client's
            text = f"unknown field; known are {', '.join(Letter.__struct_encode_fields__)}"
        raise PermanentError(Reply(501, "5.5.2", f"the JSON does not fit: {printable(text, 300)}")) from None
    if letter.raw is not None and _is_composed(letter):
        raise PermanentError(_MIXED)
    return letter


def _is_composed(letter: Letter) -> bool:
    fields = (letter.subject, letter.text, letter.html, letter.headers, letter.attachments, letter.reply_to)
    return any(field for field in fields)


def _bare(text: str) -> Mailbox:
    return Mailbox("", parse_address(text))


def _author(letter: Letter) -> str:
    return (
        ""
        if letter.raw is not None and letter.from_ in ("", "<>")
        else parse_mailbox(clean(letter.from_, "from")).address
    )


def _sender(text: str) -> str:
    """Return an envelope sender; "" and <> are the null sender."""
    text = clean(text, "envelope_from")
    return "" if text in ("", "<>") else parse_address(text.removeprefix("<").removesuffix(">"))


def _checked(content: bytes, settings: Smtp) -> bytes:
    """Return the content in canonical form. Raises PermanentError, with the reply DATA would give."""
    if not content.endswith(b"\r\n"):
        content += b"\r\n"  # as SMTP cannot but end it
    _check_size(content, settings)
    return canonical(content, is_stuffed=False)


def _check_size(content: bytes, settings: Smtp) -> None:
    if len(content) > settings.max_size_bytes:
        raise PermanentError(_TOO_BIG)
