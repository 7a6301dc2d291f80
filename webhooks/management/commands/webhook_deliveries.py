"""`manage.py webhook_deliveries list|send_again`: calls of webhooks, and calling again."""

import json
import uuid
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management import CommandError
from django.utils import timezone

from core.audit import Actor
from core.commands import PlainCommand
from core.errors import Refused
from core.texts import sentence
from webhooks.deliveries import send_again
from webhooks.models import Delivery

_MOST = 1_000


class Command(PlainCommand):
    help = "List the deliveries of webhooks, newest first, or send some of them again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        listing = acts.add_parser("list", help="list deliveries, without their bodies")
        listing.add_argument("--server", type=_uuid, help="only those of the server with this UUID")
        listing.add_argument("--webhook", type=_uuid, help="only those of the webhook with this UUID")
        listing.add_argument("--state", choices=Delivery.State.values)
        listing.add_argument("--limit", type=int, choices=range(1, _MOST + 1), metavar="NUMBER", default=30)
        again = acts.add_parser("send_again", help="make deliveries due now, whatever became of them")
        again.add_argument("uuids", type=_uuid, nargs="+", metavar="UUID")
        for each in (listing, again):
            each.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        found = self._list(options) if act == "list" else self._send_again(options["uuids"])
        shapes = [_shape(each) for each in found]
        text = "\n".join(_text(each) for each in shapes) or "There are no deliveries."
        self.stdout.write(json.dumps({"deliveries": shapes}) if options["json"] else text)

    def _list(self, options: dict[str, Any]) -> list[Delivery]:
        rows = Delivery.objects.select_related("webhook").defer("body", "answer").order_by("-pk")
        if options["server"]:
            rows = rows.filter(server__uuid=options["server"])
        if options["webhook"]:
            rows = rows.filter(webhook__uuid=options["webhook"])
        if options["state"]:
            rows = rows.filter(state=options["state"])
        return list(rows[: options["limit"]])

    def _send_again(self, uuids: list[uuid.UUID]) -> list[Delivery]:
        found = {each.uuid: each for each in Delivery.objects.filter(uuid__in=uuids)}
        if missing := [str(each) for each in uuids if each not in found]:
            raise CommandError(f"There is no delivery {missing[0]}.")
        actor = Actor.of_command("webhook_deliveries")
        try:
            return [send_again(delivery=found[each], at=timezone.now(), actor=actor) for each in uuids]
        except Refused as refusal:
            raise CommandError(f"{sentence(refusal.message)}.") from None


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no UUID") from None


def _shape(delivery: Delivery) -> dict[str, Any]:
    moments = {name: getattr(delivery, name) for name in ("created_at", "attempted_at", "due_at")}
    return {
        "uuid": str(delivery.uuid),
        "webhook": str(delivery.webhook.uuid),
        "event": delivery.event,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "status_code": delivery.status_code,
        "error": delivery.error,
        **{name: at.isoformat() if at else None for name, at in moments.items()},
    }


def _text(shape: dict[str, Any]) -> str:
    answer = shape["status_code"] or shape["error"] or "no answer yet"
    return f"{shape['uuid']}  {shape['created_at']}  {shape['event']}  {shape['state']}  {answer}"
