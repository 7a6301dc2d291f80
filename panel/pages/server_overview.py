"""The summary of a server's page: state, counts, charts, credentials, domains."""

import datetime
from typing import Any

from django.utils import formats, timezone

from alerts.topics.servers import words
from panel import charts
from panel.explorer import links
from panel.pages import deliveries
from servers import send_limits
from servers.models import Server
from servers.smtp_users import smtp_user_of
from stats import send_limits as counted
from stats.counts import buckets
from stats.reports.queries import last_minute, server_sent, server_totals, top_senders

SHOWN = 10
SENDERS = 5
CHECKS = (("spf", "SPF"), ("dkim", "DKIM"), ("mx", "MX"), ("return_path", "Return path"), ("dmarc", "DMARC"))


def summary(server: Server, now: datetime.datetime) -> dict[str, Any]:
    """Return the context of `panel/server/summary.html`: the same queries however much there is."""
    sent, today = server_sent([server.pk], now)[server.pk], buckets.day_of(now)
    credentials = list(server.credentials.order_by("kind", "pk")[: SHOWN + 1])
    domains = list(server.domains.order_by("name")[: SHOWN + 1])
    return {
        "server": server,
        "is_suspended": server.is_suspended(now),
        "send_limits": [
            {
                "period": send_limits.Period(each.period).label,
                "usage": each,
                "words": words(each.level, each),
                "is_reached": each.level == send_limits.Level.EXCEEDED,
                "is_near": each.level is not None,
            }
            for each in counted.usage([server], now).get(server.pk, [])
        ],
        "smtp_user": smtp_user_of(server),
        "sent": sent,
        "total": server_totals([server.pk])[server.pk],
        "per_minute": last_minute([server.pk], now)[server.pk].sent,
        "chart": charts.server_chart(server.pk, now),
        "senders": [
            {"name": name, "sent": counts.sent, **charts.shown_share(counts)}
            for name, counts in top_senders(server.pk, today - charts.DAYS + 1, today, limit=SENDERS)
        ],
        "explore": {
            group: links.of_last_days(now, charts.DAYS, server=server.pk, group=group, sort=sort)
            for group, sort in (("reason", "bounced"), ("provider", ""), ("sender", ""), ("domain", ""))
        },
        "credentials": [(each, credential_state(each, now)) for each in credentials[:SHOWN]],
        "has_more_credentials": len(credentials) > SHOWN,
        "domains": [
            (each, [(label, getattr(each, f"{name}_status")) for name, label in CHECKS]) for each in domains[:SHOWN]
        ],
        "has_more_domains": len(domains) > SHOWN,
        "check_labels": [label for _, label in CHECKS],
        "deliveries": [(each, deliveries.result(each)) for each in deliveries.last_of(server)],
        "webhook_total": server.webhooks.count(),
        "route_total": server.routes.count(),
        "rule_total": server.pool_rules.count(),
    }


def credential_state(credential: Any, now: datetime.datetime) -> str:
    """Return the state of the credential in a word, or until when it is usable."""
    if credential.held_at is not None:
        return "held"
    if credential.expires_at is None:
        return "usable"
    if credential.expires_at <= now:
        return "expired"
    return f"until {formats.date_format(timezone.localtime(credential.expires_at), 'j M, H:i')}"
