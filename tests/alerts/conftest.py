"""A minute's steps of evaluations, and a mail server."""

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from alerts.evaluating import note
from alerts.items import Item
from tests.alerts.mail_server import MailServer
from tests.factories import A_MOMENT

MINUTE = datetime.timedelta(minutes=1)


def item(name: str = "a.example", **more: Any) -> Item:
    return Item(
        **{
            "level": "bad",
            "condition": "domain_dns",
            "text": f"{name} fails its DNS checks",
            "detail": "SPF missing",
            "url": f"/admin/servers/domain/{name}/",
            **more,
        }
    )


class Minutes:
    """Evaluations a minute apart, each of what is given for it."""

    def __init__(self, organization: Any = None, at: datetime.datetime = A_MOMENT) -> None:
        self.organization, self.at = organization, at

    def see(self, *items: Item, times: int = 1) -> Any:
        for _ in range(times):
            self.at += MINUTE
            outcome = note(organization=self.organization, items=items, at=self.at)
        return outcome


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with MailServer() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        yield server
