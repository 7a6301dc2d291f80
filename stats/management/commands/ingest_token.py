"""`manage.py ingest_token make|revoke|list`: manage the tokens of collectors."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError
from django.utils import timezone

from core.audit import Actor
from core.commands import PlainCommand
from core.errors import Refused
from core.names import fold
from stats.intake.tokens import make_ingest_token, revoke_ingest_token
from stats.models import IngestToken

ACTOR = Actor.of_command("ingest_token")


class Command(PlainCommand):
    help = "Create, revoke or list the tokens with which collectors report events of any server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        make = acts.add_parser("make", help="create a token and print its key, once")
        make.add_argument("name")
        revoke = acts.add_parser("revoke", help="revoke a token")
        revoke.add_argument("name", help="the token's name")
        listing = acts.add_parser("list", help="list the tokens, including revoked ones")
        for each in (make, revoke, listing):
            each.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        try:
            result, text = {"make": self._make, "revoke": self._revoke, "list": self._list}[act](options)
        except Refused as problem:
            raise CommandError(problem.message) from None
        self.stdout.write(json.dumps(result) if options["json"] else text)

    def _make(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        made = make_ingest_token(name=options["name"], actor=ACTOR)
        return {**_shape(made.token), "key": made.key}, made.key

    def _revoke(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        token = IngestToken.objects.filter(revoked_at=None, name_key=fold(options["name"].strip())).first()
        if token is None:
            raise CommandError(f"There is no active token named {options['name']}.")
        token = revoke_ingest_token(token=token, at=timezone.now(), actor=ACTOR)
        return _shape(token), f"Revoked {token}."

    def _list(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        tokens = [_shape(token) for token in IngestToken.objects.all()]
        lines = [
            f"{each['key_prefix']}…  {'revoked ' if each['revoked_at'] else 'in use  '}  {each['name']}"
            for each in tokens
        ]
        return {"ingest_tokens": tokens}, "\n".join(lines) or "There are no ingest tokens."


def _shape(token: IngestToken) -> dict[str, Any]:
    moments = {name: getattr(token, name) for name in ("created_at", "last_used_at", "revoked_at")}
    return {
        "name": token.name,
        "key_prefix": token.key_prefix,
        **{name: at.isoformat() if at else None for name, at in moments.items()},
    }
