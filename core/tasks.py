"""Scheduled tasks for user accounts, and e-mails to them."""

from importlib import import_module

from celery import shared_task
from django.conf import settings

from core import address_links, password_links
from core.models import User


@shared_task
def forget_sessions() -> None:
    """Delete expired sessions: they cannot be used, and Django does not delete them."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_password_link(user_id: int) -> None:
    """Send a link to set a password. Nothing, if the account was deactivated meanwhile."""
    if user := User.objects.filter(pk=user_id, is_active=True).first():
        password_links.send(user)


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_address_link(user_id: int, email: str) -> None:
    """Send a link to confirm a new address. Nothing, if the account was deactivated meanwhile."""
    if user := User.objects.filter(pk=user_id, is_active=True).first():
        address_links.send(user, email)


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_forgotten_links(email: str) -> None:
    """Send a link to the accounts with this e-mail address. Here, and not in the request, whose duration would tell of them."""
    password_links.send_forgotten(email)
