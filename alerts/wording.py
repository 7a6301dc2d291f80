"""The text and the JSON of messages. Plain functions."""

import datetime
import json
import uuid
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.urls import reverse

from alerts import pagerduty, teams
from alerts.conditions import CONDITIONS
from alerts.models import Alert, Channel, Notice
from servers.models import Organization

SUBJECT_LENGTH = 200
# Of one condition so many alerts have a paragraph each; more are one with a line each.
_SINGLE = 3
# Slack refuses longer texts, and shows less.
_SLACK_LENGTH = 3_000
# What each kind of telling is called: in a subject, and as an event of JSON.
WORDS = {
    Notice.What.BEGAN: ("Alert", "began"),
    Notice.What.WORSE: ("Worse", "got worse"),
    Notice.What.REMINDER: ("Still", "last"),
    Notice.What.ENDED: ("Ended", "ended"),
    # Only PagerDuty is told of it.
    Notice.What.ACKNOWLEDGED: ("Acknowledged", "acknowledged"),
}

type Tellings = Sequence[tuple[Notice.What, int, Alert]]


def of_alerts(
    channel: Channel, message: uuid.UUID, organization: Organization | None, tellings: Tellings, at: datetime.datetime
) -> tuple[str, str]:
    """Return the subject and the body of a message of these alerts; of one, where the channel is PagerDuty."""
    subject = _subject(tellings)
    whose = organization.name if organization is not None else "the platform"
    title = f"Alerts of {whose}, {_clock(at)}"
    match channel.kind:
        case Channel.Kind.WEBHOOK:
            listed = [{"what": str(what), **_document(alert)} for what, _, alert in tellings]
            return subject, _json(message, organization, "alerts", listed, at)
        case Channel.Kind.TEAMS:
            return subject, _card(subject, title, tellings)
        case Channel.Kind.PAGERDUTY:
            [(what, _, alert)] = tellings
            return subject, pagerduty.of_alert(what, alert, organization)
    text = "\n".join([title, *_paragraphs(tellings)])
    return subject, _slack(text) if channel.kind == Channel.Kind.SLACK else text + "\n"


def of_test(
    channel: Channel, message: uuid.UUID, organization: Organization | None, at: datetime.datetime
) -> tuple[str, str]:
    """Return the subject and the body of a test message; of PagerDuty's, the event that triggers an incident."""
    whose = organization.name if organization is not None else "the platform"
    subject, text = "Test of an alert channel", f"This is a test of the alert channel {channel.name} of {whose}."
    match channel.kind:
        case Channel.Kind.EMAIL if organization is not None:
            # No text of the organization's: it goes from the platform's address to whomever somebody wrote into a form.
            return subject, f"This is a test of an alert channel of {organization.permalink}.\n"
        case Channel.Kind.WEBHOOK:
            return subject, _json(message, organization, "test", [], at)
        case Channel.Kind.TEAMS:
            return subject, teams.card(subject, text, [])
        case Channel.Kind.PAGERDUTY:
            source = organization.permalink if organization is not None else "platform"
            return subject, pagerduty.of_test(message, text, source)[0]
    return subject, _slack(text) if channel.kind == Channel.Kind.SLACK else text + "\n"


def _subject(tellings: Tellings) -> str:
    if len(tellings) == 1:
        [(what, _, alert)] = tellings
        subject = f"{WORDS[what][0]}: {alert.text}"
    else:
        numbers = [(sum(each == what for each, *_ in tellings), word) for what, (_, word) in WORDS.items()]
        subject = "Alerts: " + ", ".join(f"{number} {word}" for number, word in numbers if number)
    # One line, whatever the records are called.
    return " ".join(subject.split())[:SUBJECT_LENGTH]


def _paragraphs(tellings: Tellings) -> list[str]:
    """Return the lines of a text: a paragraph for each alert, or for all of one condition where there are many."""
    panel = settings.SLUICE_PANEL_URL.rstrip("/")
    lines: list[str] = []
    for what in WORDS:
        by_condition: dict[str, list[Alert]] = {}
        for alert in (alert for each, _, alert in tellings if each == what):
            by_condition.setdefault(alert.condition, []).append(alert)
        for condition, alerts in by_condition.items():
            if len(alerts) > _SINGLE:
                lines += ["", f"{WORDS[what][0]}: {CONDITIONS[condition].title}, {len(alerts)} times", _spans(alerts)]
                lines += [f"* {alert.text}{f' ({alert.detail})' if alert.detail else ''}" for alert in alerts]
                lines += [panel + reverse("admin:alerts_alert_changelist")] if panel else []
                continue
            for alert in alerts:
                lines += [
                    "",
                    f"{WORDS[what][0]}: {alert.text}",
                    *([alert.detail] if alert.detail else []),
                    _span(alert),
                ]
                lines += [panel + alert.url] if panel else []
    return lines


def _spans(alerts: Sequence[Alert]) -> str:
    """Return since when the first of several alerts has been there, and until when the last was."""
    since, ends = min(alert.since for alert in alerts), [alert.ended_at for alert in alerts if alert.ended_at]
    until = f", until {_clock(max(ends))}" if len(ends) == len(alerts) else ""
    return f"Since {_clock(since)}{until}"


def _card(subject: str, title: str, tellings: Tellings) -> str:
    entries = []
    for what in WORDS:
        for alert in (alert for each, _, alert in tellings if each == what):
            color = "Good" if what == Notice.What.ENDED else teams.COLORS[alert.level]
            below = ". ".join(filter(None, (alert.detail, _span(alert))))
            entries.append((color, f"{WORDS[what][0]}: {alert.text}", below))
    panel = settings.SLUICE_PANEL_URL.rstrip("/")
    path = tellings[0][2].url if len(tellings) == 1 else reverse("admin:index")
    return teams.card(subject, title, entries, url=panel + path if panel else "")


def _document(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.pk,
        "condition": alert.condition,
        "title": CONDITIONS[alert.condition].title,
        "severity": alert.level,
        "text": alert.text,
        "detail": alert.detail,
        "url": alert.url,
        "since": alert.since.isoformat(),
        "until": alert.ended_at.isoformat() if alert.ended_at else None,
    }


def _json(
    message: uuid.UUID,
    organization: Organization | None,
    event: str,
    listed: list[dict[str, Any]],
    at: datetime.datetime,
) -> str:
    document = {
        "event": event,
        "uuid": str(message),
        "timestamp": at.timestamp(),
        "organization": organization.permalink if organization is not None else None,
        "alerts": listed,
    }
    return json.dumps(document, separators=(",", ":"))


def _slack(text: str) -> str:
    # The three characters that Slack's texts are marked up with.
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, name)
    return json.dumps({"text": text if len(text) <= _SLACK_LENGTH else text[: _SLACK_LENGTH - 1] + "…"})


def _span(alert: Alert) -> str:
    until = f", until {_clock(alert.ended_at)}" if alert.ended_at else ""
    return f"Since {_clock(alert.since)}{until}"


def _clock(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
