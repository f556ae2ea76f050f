"""Why a command was refused; each carries the HTTP status and a text fit for the one who asked.

Refusal
+-- Unauthorized   no token, or one nobody gave out: 401
+-- Forbidden      the role may not do this: 403
+-- NotFound       there is no such thing, or it lies outside the principal's scope: 404
+-- Conflict       it exists already: 409
+-- Invalid        the request says something impossible: 422
+-- StateFailure   the database refused; nothing was changed, a retry may help: 503
"""


class Refusal(Exception):
    """A command that was not carried out."""

    status = 400

    @property
    def detail(self) -> str:
        return str(self)


class Unauthorized(Refusal):
    """No token, or one nobody gave out."""

    status = 401


class Forbidden(Refusal):
    """The role may not do this."""

    status = 403


class NotFound(Refusal):
    """There is no such thing in the principal's scope."""

    status = 404


class Conflict(Refusal):
    """It exists already."""

    status = 409


class Invalid(Refusal):
    """The request says something impossible."""

    status = 422


class StateFailure(Refusal):
    """The database refused; nothing was changed."""

    status = 503
