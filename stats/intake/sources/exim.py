"""Exim: lines of its main log, parsed by `agent.exim_log`."""

from typing import Any

from agent import exim_log
from stats.intake.sources.base import Settings
from stats.intake.sources.postfix import LogReader


def reader(settings: Settings, state: dict[str, Any] | None = None) -> LogReader:
    """Return a reader of Exim's main log."""
    return LogReader(settings, exim_log.Reader(settings.time_zone, state, settings.now))
