"""The last run of each scheduled task, for the beat that sends it next: after a restart, or on another machine."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import redis
import structlog

from core import redis_clients

logger = structlog.get_logger(__name__)

# Seconds. The broker that hangs does not stop beat for longer.
TIMEOUT = 5


class LastRuns(Protocol):
    """The moments by the names of tasks."""

    def read(self) -> dict[str, datetime.datetime]:
        """Return what is known; nothing where it cannot be read."""

    def write(self, moments: Mapping[str, datetime.datetime]) -> None:
        """Note these, and leave the others. What cannot be written is lost."""


class InFile:
    """A JSON file of an embedded installation."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, datetime.datetime]:
        try:
            stored = json.loads(self.path.read_text())
            return {name: datetime.datetime.fromisoformat(text) for name, text in stored.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as problem:
            logger.warning("last_runs_cannot_be_read", cause=str(problem))
            return {}

    def write(self, moments: Mapping[str, datetime.datetime]) -> None:
        known = {**self.read(), **moments}
        draft = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps({name: moment.isoformat() for name, moment in known.items()}))
            draft.replace(self.path)
        except OSError as problem:
            logger.warning("last_runs_cannot_be_written", cause=str(problem))


class InRedis:
    """A hash beside the messages: where it is away, messages cannot be sent either."""

    KEY = "sluice.last_runs"

    def __init__(self, url: str) -> None:
        self.client = redis_clients.client(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, decode_responses=True
        )

    def read(self) -> dict[str, datetime.datetime]:
        try:
            stored = self.client.hgetall(self.KEY)
        except (redis.RedisError, OSError) as problem:
            logger.warning("last_runs_cannot_be_read", cause=str(problem))
            return {}
        return {str(name): datetime.datetime.fromisoformat(str(text)) for name, text in stored.items()}

    def write(self, moments: Mapping[str, datetime.datetime]) -> None:
        try:
            self.client.hset(self.KEY, mapping={name: moment.isoformat() for name, moment in moments.items()})
        except (redis.RedisError, OSError) as problem:
            logger.warning("last_runs_cannot_be_written", cause=str(problem))
