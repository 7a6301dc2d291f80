"""Events of PagerDuty's Events API v2: one for each alert, by which its incident is triggered, acknowledged and resolved.

https://developer.pagerduty.com/docs/events-api-v2-overview
"""

import json
import re
import uuid
from typing import Any

from django.conf import settings

from alerts.conditions import CONDITIONS
from alerts.models import Alert, Notice
from servers.models import Organization

ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")
SEVERITIES = {"bad": "critical", "warn": "warning", "note": "info"}
ACTIONS = {
    Notice.What.BEGAN: "trigger",
    Notice.What.WORSE: "trigger",
    Notice.What.ACKNOWLEDGED: "acknowledge",
    Notice.What.ENDED: "resolve",
}
# PagerDuty's own bounds.
_SUMMARY_LENGTH = 1024
_DETAIL_LENGTH = 8_000


def of_alert(what: Notice.What, alert: Alert, organization: Organization | None) -> str:
    """Return the event of an alert, without the key: that is added when it is sent, so that it is stored encrypted alone."""
    event: dict[str, Any] = {"event_action": ACTIONS[what], "dedup_key": _key(f"alert:{alert.pk}")}
    if ACTIONS[what] == "trigger":
        event |= {
            "client": "Sluice",
            "payload": {
                "summary": " ".join(alert.text.split())[:_SUMMARY_LENGTH],
                "source": organization.permalink if organization is not None else "platform",
                "severity": SEVERITIES[alert.level],
                "timestamp": alert.since.isoformat(),
                "component": alert.condition,
                "class": CONDITIONS[alert.condition].title,
                "custom_details": {"detail": alert.detail[:_DETAIL_LENGTH]},
            },
        }
        if settings.SLUICE_PANEL_URL:
            link = settings.SLUICE_PANEL_URL.rstrip("/") + alert.url
            event |= {"client_url": link, "links": [{"href": link, "text": "The page that resolves it"}]}
    return json.dumps(event)


def of_test(message: uuid.UUID, text: str, source: str) -> tuple[str, str]:
    """Return the two events of a test: one that triggers an incident, and one that resolves it."""
    event = {"event_action": "trigger", "dedup_key": _key(f"test:{message}")}
    payload = {"summary": text[:_SUMMARY_LENGTH], "source": source, "severity": "info"}
    return json.dumps({**event, "client": "Sluice", "payload": payload}), json.dumps(
        event | {"event_action": "resolve"}
    )


def with_key(body: str, routing_key: str) -> bytes:
    """Return the body of a request."""
    return json.dumps({"routing_key": routing_key, **json.loads(body)}).encode()


def _key(name: str) -> str:
    # Two installations may share a service of PagerDuty's.
    return f"sluice:{settings.SLUICE_HOSTNAME_SUFFIX}:{name}"[:255]
