"""`manage.py evaluate_alerts`: look at all conditions now, and send what is due."""

import json
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from alerts import evaluating, sending
from alerts.models import Alert
from core.commands import PlainCommand

_RUN_SECONDS = 30.0


class Command(PlainCommand):
    help = "Evaluate the conditions of alerts once, now, and send the messages that are due."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        outcome = evaluating.evaluate_all(at=timezone.now())
        sent = sending.run(clock=timezone.now, seconds=_RUN_SECONDS)
        shape = {
            "began": outcome.began,
            "ended": outcome.ended,
            "messages": outcome.messages,
            "sent": sent,
            "open": Alert.objects.open().count(),
        }
        text = (
            f"{shape['began']} began, {shape['ended']} ended, {shape['open']} open;"
            f" {shape['messages']} messages written, {sent} sent."
        )
        self.stdout.write(json.dumps(shape) if options["json"] else text)
