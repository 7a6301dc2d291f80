"""E-mails that ask or tell a person something, with a link to a page of the panel."""

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse


def send(subject: str, body: str, *, to: str) -> None:
    """Send an e-mail. Programs that answer by themselves do not answer it (RFC 3834)."""
    EmailMessage(subject, body, None, [to], headers={"Auto-Submitted": "auto-generated"}).send()


def url_of(page: str, *parts: str) -> str:
    """Return the whole address of a page, by the name and the parts of its URL; SLUICE_PANEL_URL says where the panel is."""
    return settings.SLUICE_PANEL_URL.rstrip("/") + reverse(page, args=parts)
