"""Circuit breakers: a receiver that fails repeatedly is not called for some time, and its owner is notified."""

import datetime
import random

import structlog
from django.db import transaction
from django.db.models import F

from core.audit import Actor, record
from servers.models import Webhook
from webhooks.backoff import TOLERATED, trial_wait
from webhooks.models import Circuit

logger = structlog.get_logger(__name__)


def note_success(webhook_id: int, *, at: datetime.datetime) -> None:
    """Write down that the receiver answers: its failures are forgotten, and calls that were held back are made again."""
    with transaction.atomic():
        if not Webhook.objects.filter(pk=webhook_id).exists():
            return
        Circuit.objects.bulk_create([Circuit(webhook_id=webhook_id)], ignore_conflicts=True)
        circuit = _locked(webhook_id)
        if circuit is None:
            return
        opened_at = circuit.opened_at
        circuit.failures, circuit.answered_at, circuit.opened_at, circuit.retry_at = 0, at, None, None
        circuit.save(update_fields=["failures", "answered_at", "opened_at", "retry_at"])
        if opened_at is not None:
            _tell(webhook_id, "webhook.answers_again", before={"held_back_since": opened_at.isoformat()}, after={})


def note_failures(webhook_id: int, number: int, *, error: str, at: datetime.datetime, chance: random.Random) -> bool:
    """Count failed attempts; return whether calls are held back now.

    The first time the owner is told: by an entry of the audit trail, which the webhook's page shows too.
    """
    with transaction.atomic():
        if not Webhook.objects.filter(pk=webhook_id).exists():
            return True
        Circuit.objects.bulk_create([Circuit(webhook_id=webhook_id)], ignore_conflicts=True)
        circuit = _locked(webhook_id)
        if circuit is None:
            return True
        circuit.failures += number
        was_open = circuit.opened_at is not None
        if circuit.failures >= TOLERATED:
            circuit.opened_at = circuit.opened_at or at
            circuit.retry_at = at + trial_wait(circuit.failures, chance)
        circuit.save(update_fields=["failures", "opened_at", "retry_at"])
        if circuit.opened_at is not None and not was_open:
            logger.warning("webhook_held_back", webhook=webhook_id, failures=circuit.failures)
            _tell(webhook_id, "webhook.held_back", before={}, after={"failures": circuit.failures, "error": error})
        return circuit.opened_at is not None


def reset(webhook_id: int) -> None:
    """Forget the receiver's failures, without a word: somebody asked for a call now."""
    Circuit.objects.filter(pk=webhook_id).update(failures=0, opened_at=None, retry_at=None)


def note_dropped(webhook_id: int, number: int, *, at: datetime.datetime) -> None:
    """Count deliveries that were dropped because too many were waiting."""
    Circuit.objects.bulk_create([Circuit(webhook_id=webhook_id)], ignore_conflicts=True)
    Circuit.objects.filter(pk=webhook_id).update(dropped=F("dropped") + number, dropped_at=at)


def _locked(webhook_id: int) -> Circuit | None:
    return Circuit.objects.select_for_update().filter(pk=webhook_id).first()


def _tell(webhook_id: int, act: str, *, before: dict[str, object], after: dict[str, object]) -> None:
    webhook = Webhook.objects.select_related("server").get(pk=webhook_id)
    organization_id = webhook.server.organization_id
    record(actor=Actor.system(), act=act, target=webhook, before=before, after=after, organization_id=organization_id)
