"""`manage.py webhook_key show|rotate`: the keys with which calls of webhooks are signed."""

import datetime
import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.utils import timezone

from core.audit import Actor
from core.commands import PlainCommand
from webhooks.models import SigningKey
from webhooks.signing import OVERLAP, published, rotate_key, signer

_MOST_HOURS = 24 * 365


class Command(PlainCommand):
    help = "Show the keys with which calls of webhooks are signed, or make a new one that signs after an overlap."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        show = acts.add_parser("show", help="list the published keys; the first one is made where there is none")
        rotate = acts.add_parser("rotate", help="publish a new key now, and sign with it after the overlap")
        rotate.add_argument(
            "--overlap-hours",
            type=_hours,
            default=OVERLAP // datetime.timedelta(hours=1),
            help="hours until it signs (default: %(default)s); 0 where the present key is no longer secret",
        )
        for each in (show, rotate):
            each.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        now = timezone.now()
        if act == "rotate":
            overlap = datetime.timedelta(hours=options["overlap_hours"])
            rotate_key(at=now, actor=Actor.of_command("webhook_key"), overlap=overlap)
        keys = published(at=now)
        signing = signer(at=now).kid
        shapes = [_shape(each, is_signing=each.kid == signing) for each in keys]
        self.stdout.write(json.dumps({"keys": shapes}) if options["json"] else "\n\n".join(map(_text, shapes)))


def _hours(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _MOST_HOURS):
        raise ArgumentTypeError(f"must be a whole number of hours, at most {_MOST_HOURS}")
    return int(text)


def _shape(key: SigningKey, *, is_signing: bool) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "is_signing": is_signing,
        "signs_from": key.signs_from.isoformat(),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "public_key": key.public_key,
    }


def _text(shape: dict[str, Any]) -> str:
    until = f", published until {shape['expires_at']}" if shape["expires_at"] else ""
    state = "signs" if shape["is_signing"] else f"signs from {shape['signs_from']}"
    return f"{shape['kid']} ({state}{until})\n{shape['public_key']}"
