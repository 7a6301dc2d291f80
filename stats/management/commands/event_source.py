"""`manage.py event_source make|list|rotate|revoke|map|unmap`: manage event sources."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import CommandError
from django.utils import timezone

from core.audit import Actor
from core.commands import PlainCommand
from core.errors import Refused
from stats.intake import event_sources, sources
from stats.intake.event_sources import MadeSource
from stats.models import EventSource

ACTOR = Actor.of_command("event_source")
URL = "/api/v1/events/{}"


class Command(PlainCommand):
    help = "Make, list, rotate and revoke event sources, and map their texts to servers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        make = acts.add_parser("make", help="create a source and print its token, once")
        make.add_argument("name")
        make.add_argument("--format", required=True, choices=sources.FORMATS, help="the format of its records")
        make.add_argument("--server", metavar="ORG/SERVER", help="the server of events that do not name a tenant")
        make.add_argument(
            "--time-zone", default="UTC", metavar="ZONE", help="of times without an offset (default: UTC)"
        )
        make.add_argument(
            "--tenant-field", default="", metavar="PATH", help="the field of a record that names its tenant"
        )
        make.add_argument(
            "--verification-key",
            type=Path,
            metavar="FILE",
            help="the public key or certificate that verifies its requests' signatures",
        )
        listing = acts.add_parser("list", help="list the sources")
        rotate = acts.add_parser(
            "rotate", help="give a source a new token and print it, once; the old token stops working"
        )
        revoke = acts.add_parser("revoke", help="revoke a source's token")
        mapping = acts.add_parser("map", help="map a text in a source's records to a server")
        unmapping = acts.add_parser("unmap", help="remove the mapping of a text")
        for each in (rotate, revoke, mapping, unmapping):
            each.add_argument("name", help="the source's name")
        for each in (mapping, unmapping):
            each.add_argument("text", help="a tenant, VirtualMTA, queue, campaign or mail class, as in the records")
        mapping.add_argument("server", metavar="ORG/SERVER")
        for each in (make, listing, rotate, revoke, mapping, unmapping):
            each.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        acts = {
            "make": self._make,
            "list": self._list,
            "rotate": self._rotate,
            "revoke": self._revoke,
            "map": self._map,
            "unmap": self._unmap,
        }
        try:
            result, text = acts[act](options)
        except Refused as problem:
            raise CommandError(problem.message) from None
        except OSError as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(json.dumps(result) if options["json"] else text)

    def _make(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        server, key = options["server"], options["verification_key"]
        made = event_sources.make_source(
            name=options["name"],
            format=options["format"],
            time_zone=options["time_zone"],
            tenant_field=options["tenant_field"],
            default_server=event_sources.server_called(server) if server else None,
            verification_key=_text_of(key) if key else "",
            actor=ACTOR,
        )
        return _with_token(made), f"{made.token}\nPOST to {URL.format(made.token)}"

    def _list(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        found = EventSource.objects.select_related("default_server__organization", "activity").prefetch_related(
            "mappings"
        )
        shapes = [_shape(source) for source in found]
        lines = [f"{each['key_prefix']}…  {each['state']:8}  {each['format']:10}  {each['name']}" for each in shapes]
        return {"event_sources": shapes}, "\n".join(lines) or "There are no event sources."

    def _rotate(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        made = event_sources.rotate_source(source=event_sources.source_named(options["name"]), actor=ACTOR)
        return _with_token(made), made.token

    def _revoke(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        source = event_sources.source_named(options["name"])
        source = event_sources.revoke_source(source=source, at=timezone.now(), actor=ACTOR)
        return _shape(source), f"Revoked the token of {source}."

    def _map(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        source, server = event_sources.source_named(options["name"]), event_sources.server_called(options["server"])
        event_sources.map_text(source=source, text=options["text"], server=server, actor=ACTOR)
        return _shape(source), f"{options['text']} is mapped to {options['server']}."

    def _unmap(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        source = event_sources.source_named(options["name"])
        event_sources.unmap_text(source=source, text=options["text"], actor=ACTOR)
        return _shape(source), f"{options['text']} is no longer mapped."


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not text in UTF-8: a key or certificate is needed as PEM, not as DER.") from None


def _with_token(made: MadeSource) -> dict[str, Any]:
    source = made.source
    return {
        "id": source.pk,
        "name": source.name,
        "format": source.format,
        "token": made.token,
        "url": URL.format(made.token),
    }


def _shape(source: EventSource) -> dict[str, Any]:
    server, activity = source.default_server, getattr(source, "activity", None)
    last = {name: getattr(activity, name, None) for name in ("last_delivery_at", "last_event_at")}
    return {
        "id": source.pk,
        "name": source.name,
        "format": source.format,
        "time_zone": source.time_zone,
        "tenant_field": source.tenant_field,
        "default_server": f"{server.organization.permalink}/{server.permalink}" if server else None,
        "mappings": {
            mapping.text: str(mapping.server.uuid) for mapping in source.mappings.select_related("server").all()
        },
        "state": "revoked" if source.revoked_at else "active" if source.is_active else "off",
        "key_prefix": source.key_prefix,
        **{name: at.isoformat() if at else None for name, at in last.items()},
    }
