"""Validates and stores the reports of node agents."""

import datetime
from collections.abc import Mapping
from typing import Any

from django.utils.dateparse import parse_datetime

from core.errors import Fault, Invalid
from core.texts import storable_part
from nodes.models import Node, NodeReport

LONGEST_TEXT = 2_000
LONGEST_LIST = 100_000
_HIGHEST = 2**63 - 1

_NUMBERS = ("revision_seen", "revision_applied", "overlay_applied", "spool_events", "events_refused")
_TEXTS = ("version", "mta_version", "digest_applied", "error", "log_position")
_TIMES = ("applied_at", "oldest_event", "suppressions_compared_at", "suppressions_differed_at")
_LISTS = ("addresses_present", "drift")
_COUNTS = ("queue", "logins", "suppressions")


def read_report(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known fields of a report; others are ignored. Raises Invalid with every fault."""
    faults: list[Fault] = []
    report: dict[str, Any] = {}
    for names, reader in (
        (_NUMBERS, _number),
        (_TEXTS, _text),
        (_TIMES, _time),
        (_LISTS, _texts),
        (_COUNTS, _counts),
    ):
        for name in names:
            if values.get(name) is None:
                continue
            try:
                report[name] = reader(values[name])
            except ValueError as error:
                faults.append(Fault(name, str(error)))
    if faults:
        raise Invalid(*faults)
    return report


def take_report(*, node: Node, report: Mapping[str, Any], at: datetime.datetime) -> None:
    """Store the result of `read_report` as the node's latest report."""
    columns = {
        "at": at,
        "version": report.get("version", "")[:100],
        "mta_version": report.get("mta_version", "")[:100],
        "revision_applied": report.get("revision_applied"),
        "overlay_applied": report.get("overlay_applied"),
        "error": report.get("error", ""),
        "body": dict(report),
    }
    NodeReport.objects.update_or_create(node_id=node.pk, defaults=columns)


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _HIGHEST:
        raise ValueError("must be a whole number of at least 0")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    # An error may quote a log line: what no column holds is left out, not refused.
    return storable_part(value[:LONGEST_TEXT])


def _time(value: object) -> str:
    moment = None
    if isinstance(value, str) and len(value) <= 40:
        try:
            moment = parse_datetime(value)
        except ValueError:
            moment = None
    # Pages show it in the viewer's time zone, which must not lead out of the calendar.
    if moment is None or moment.tzinfo is None or not 1970 < moment.year < 9999:
        raise ValueError("must be a time with an offset")
    return str(value)


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > LONGEST_LIST:
        raise ValueError("must be an array of strings")
    return [_text(each) for each in value]


def _counts(value: object) -> dict[str, int]:
    if not isinstance(value, dict) or len(value) > 100:
        raise ValueError("must be an object of whole numbers")
    return {_text(key)[:100]: _number(each) for key, each in value.items()}
