"""Logging: one line per event on stderr, as JSON or, at a terminal, coloured."""

import logging
import re
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# Never logged, by any logger: keys are compared without case, `-` and `_`.
SECRETS = frozenset(
    {
        "apikey",
        "authorization",
        "cookie",
        "encryptionkeys",
        "password",
        "secretkey",
        "smtpkey",
        "smtppassword",
        "token",
        "xserverapikey",
    }
)


# The token of an event source, in whatever a server or a library says of a request: gunicorn logs its path at DEBUG.
# Whatever is spelled in an odd way counts as one; only the paths that hold no key are left as they are.
_KEY_IN_PATH = re.compile(
    r"((?:/|%2[fF])[A-Za-z0-9%._-]*v1(?:/|%2[fF])+(?!(?:servers|domains|organizations|suppressions|webhooks)/)[A-Za-z0-9%]+(?:/|%2[fF])+)"
    r"[^\s'\"?#,;)\]]+"
)
# Links that let in whoever has them: of an invitation, of a password, to stop a report or confirm one for alerts. Tests name
# every such address.
_LINK = re.compile(
    r"((?:/|%2[fF])(?:invitations|password-reset|stop|confirm)(?:/|%2[fF])+)(?!\[removed\])[^\s'\"?#,;)\]]+"
)


def remove_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Remove the values of secrets, also in logged mappings, keys in paths, and the query strings of requests."""
    return {key: _without_secrets(key, value) for key, value in event.items()}


def without_links(text: str) -> str:
    """Return a text without the tokens of links; to be called before other parts of a path are removed."""
    return _LINK.sub(r"\1[removed]", text)


def _without_secrets(key: object, value: Any) -> Any:
    if hasattr(value, "META") and hasattr(value, "path"):
        # A request, as Django's own loggers add it. Its query string may have recipients' addresses.
        value = f"{value.method} {value.path}"
    if isinstance(value, str):
        value = without_links(_KEY_IN_PATH.sub(r"\1[removed]", value))
    if isinstance(key, str) and key.lower().replace("-", "").replace("_", "") in SECRETS:
        return "[removed]"
    if isinstance(value, dict):
        return {inner: _without_secrets(inner, item) for inner, item in value.items()}
    return value


class ClientErrors(logging.Filter):
    """Makes a warning of one line of what a client did wrong, which Django logs as an error with a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security"):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = record.exc_text = None
        return True


class LineFormatter(structlog.stdlib.ProcessorFormatter):
    """structlog's, which also takes a record whose event is complete (`write_line`)."""

    def format(self, record: logging.LogRecord) -> str:
        event: EventDict | None = getattr(record, _COMPLETE, None)
        if event is None:
            return super().format(record)
        # Each handler's formatter has one of its own: the last steps take fields away.
        line: Any = dict(event)
        for step in self.processors[1:]:
            line = step(None, record.levelname.lower(), line)
        return str(line)


# The attribute of such a record.
_COMPLETE = "complete_event"


def write_line(logger: logging.Logger, level: int, event: EventDict) -> None:
    """Log an event that has all its fields and no secret, without the steps that would add and remove them."""
    record = logger.makeRecord(logger.name, level, "", 0, event["event"], (), None, extra={_COMPLETE: event})
    logger.handle(record)


SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    remove_secrets,
]


def configure(*, form: str, level: str) -> dict[str, Any]:
    """Configure structlog and return Django's LOGGING; `form` is `json` or `console`.

    Both ways in, structlog's own and the standard library's (Django, Celery, gunicorn), leave by one formatter.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]
        if form == "json"
        # Its own tracebacks show local variables, and those hold keys and passwords.
        else [
            structlog.dev.ConsoleRenderer(
                colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": LineFormatter,
                "foreign_pre_chain": [structlog.stdlib.ExtraAdder(), *SHARED],
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            }
        },
        "filters": {"client_errors": {"()": ClientErrors}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["client_errors"]},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Replaces Django's own handlers (a console in DEBUG, mail to ADMINS).
            "django": {"handlers": [], "level": level, "propagate": True},
            # The request middleware logs each request once, with its status; a broken one with its traceback.
            "django.request": {"handlers": [], "level": logging.CRITICAL, "propagate": True},
            # gunicorn adds its own handlers to its loggers, unless each is configured.
            "gunicorn.error": {"handlers": [], "level": level, "propagate": True},
            "gunicorn.access": {"handlers": [], "level": logging.WARNING, "propagate": True},
            # A line for each message sent, fetched and done, at INFO; the task's own lines tell of it.
            "celery.beat": {"level": logging.WARNING},
            "celery.worker.strategy": {"level": logging.WARNING},
            "celery.app.trace": {"level": logging.WARNING},
            # At a terminal, these lines every five seconds would hide the others: only failures are logged.
            "django_structlog.celery": {"level": logging.WARNING if (form, level) == ("console", "INFO") else level},
        },
    }
