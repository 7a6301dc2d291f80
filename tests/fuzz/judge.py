"""Whether an answer is one that a dialect may give."""

from dataclasses import dataclass

import orjson

from tests.fuzz.mutate import Request
from tests.fuzz.transport import Answer

POSTAL, GREENARROW = "/api/v1/", "/ga/api/v3/eng"
VERIFY = f"{POSTAL}domains/verify"
POSTAL_STATUSES = {200, 404, 413, 429, 503}
# `events/<token>`: event sources, whose services look at HTTP's status alone.
SOURCES = f"{POSTAL}events/"
SOURCE_STATUSES = POSTAL_STATUSES | {401, 403}
GREENARROW_STATUSES = {200, 400, 401, 403, 404, 405, 409, 413, 422, 429, 503}
# Headers that make the bytes no request at all: gunicorn answers them, before any dialect is known.
LONGEST_TARGET = 4_000
NO_HTTP = {"Transfer-Encoding", "Host", "Content-Encoding"}


@dataclass(frozen=True)
class Verdict:
    """`fault` None: as it should be. `is_refused`: the answer says that nothing was done."""

    fault: str | None
    is_refused: bool


def judge(request: Request, answer: Answer) -> Verdict:
    """Look at one answer alone; what it did to the database is looked at beside."""
    if answer.status == 0 or answer.body.startswith(b"<html>"):
        is_no_target = (
            len(request.target) > LONGEST_TARGET
            or not request.target.isascii()
            or not request.target.isprintable()
            or " " in request.target
        )
        is_no_http = (
            request.break_off is not None
            or NO_HTTP & set(request.headers)
            or not request.method.isupper()
            or is_no_target
        )
        return Verdict(None if is_no_http else "the server hung up, or gunicorn answered for us", is_refused=True)
    if answer.status >= 500 and answer.status != 503:
        return Verdict(f"HTTP {answer.status}", is_refused=True)
    if request.method == "HEAD":
        return Verdict(None if not answer.body else "HEAD has a body", is_refused=answer.status >= 400)
    try:
        envelope = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return Verdict(f"no JSON: {answer.body[:80]!r}", is_refused=True)
    if not isinstance(envelope, dict):
        return Verdict("no envelope", is_refused=True)
    return _postal(request, answer, envelope) if request.target.startswith(POSTAL) else _greenarrow(answer, envelope)


def _postal(request: Request, answer: Answer, envelope: dict[str, object]) -> Verdict:
    fault = None
    status, data = envelope.get("status"), envelope.get("data")
    if envelope.keys() != {"status", "time", "flags", "data"}:
        fault = f"an envelope of {sorted(envelope)}"
    elif answer.status not in (SOURCE_STATUSES if _has_source_token(request) else POSTAL_STATUSES):
        fault = f"HTTP {answer.status}"
    elif status not in {"success", "error", "parameter-error"} or not isinstance(data, dict):
        fault = f"status {status!r} with data of {type(data).__name__}"
    elif status == "error" and not (isinstance(data.get("code"), str) and isinstance(data.get("message"), str)):
        fault = "an error without code and message"
    elif status == "parameter-error" and not isinstance(data.get("message"), str):
        fault = "a parameter-error without a message"
    # That DNS does not prove the domain yet is written down, and then said as an error.
    is_written_down = request.target.startswith(VERIFY) and _code(data) == "VerificationFailed"
    return Verdict(fault, is_refused=status != "success" and not is_written_down)


def _has_source_token(request: Request) -> bool:
    path = request.target.partition("?")[0]
    return path.startswith(SOURCES) and len(path) > len(SOURCES)


def _code(data: object) -> object:
    return data.get("code") if isinstance(data, dict) else None


def _greenarrow(answer: Answer, envelope: dict[str, object]) -> Verdict:
    fault = None
    succeeded, code, messages = envelope.get("success"), envelope.get("error_code"), envelope.get("error_messages")
    if envelope.keys() != {"success", "data", "error_code", "error_messages"}:
        fault = f"an envelope of {sorted(envelope)}"
    elif answer.status not in GREENARROW_STATUSES or (answer.status == 200) != (succeeded is True):
        fault = f"HTTP {answer.status} with success {succeeded!r}"
    elif succeeded and (code is not None or messages is not None):
        fault = "a success with errors"
    elif not succeeded and not (isinstance(code, str) and isinstance(messages, list) and messages):
        fault = "an error without its code and messages"
    return Verdict(fault, is_refused=not succeeded)
