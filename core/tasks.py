"""Scheduled tasks for user accounts."""

from importlib import import_module

from celery import shared_task
from django.conf import settings


@shared_task
def forget_sessions() -> None:
    """Delete expired sessions: they cannot be used, and Django does not delete them."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
