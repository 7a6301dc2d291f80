"""Event sources: create, change, rotate and revoke tokens, map texts to servers."""

import datetime
import uuid
import zoneinfo
from dataclasses import dataclass

from django.db import transaction

from core import keys
from core.acts import locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import TAKEN, Fault, Invalid, NotFound
from core.names import fold
from core.texts import is_storable, is_visible
from servers.models import Server
from stats.intake import sources
from stats.models import EventSource, SourceMapping

NAME_LENGTH = 200
TEXT_LENGTH = 255
_LONGEST_PATH = 200
_LONGEST_KEY = 20_000
_CHANGEABLE = ("name", "time_zone", "tenant_field", "default_server", "is_active", "verification_key")


@dataclass(frozen=True, slots=True)
class MadeSource:
    """A source with a new token, which is not stored and cannot be shown again."""

    source: EventSource
    token: str


@atomic_act
def make_source(
    *,
    name: str,
    format: str,  # noqa: A002
    actor: Actor,
    time_zone: str = "UTC",
    tenant_field: str = "",
    default_server: Server | None = None,
    verification_key: str = "",
) -> MadeSource:
    """Create a source with a token; names are unique. Raises Invalid."""
    source = EventSource(
        name=name,
        format=format,
        time_zone=time_zone,
        tenant_field=tenant_field,
        default_server=default_server,
        verification_key=verification_key,
    )
    _check(source)
    token = keys.issue(source)
    source.save(force_insert=True)
    record(actor=actor, act="event_source.created", target=source, after=snapshot(source))
    return MadeSource(source, token)


@atomic_act
def change_source(*, source: EventSource, actor: Actor, **values: object) -> EventSource:
    """Change the given fields: name, time zone, tenant field, default server, activity and verification key."""
    changed = _locked(source)
    before = snapshot(changed)
    for field, value in values.items():
        if field not in _CHANGEABLE:
            raise TypeError(f"change_source() cannot change {field}")
        setattr(changed, field, value)
    _check(changed)
    save_change(changed, before, act="event_source.changed", actor=actor)
    return changed


@transaction.atomic
def rotate_source(*, source: EventSource, actor: Actor) -> MadeSource:
    """Rotate the source's token; the old one is invalid. A revoked source is valid again."""
    rotated = _locked(source)
    before = snapshot(rotated)
    token = keys.issue(rotated)
    rotated.revoked_at = None
    rotated.save(update_fields=["key_prefix", "key_digest", "revoked_at"])
    record(actor=actor, act="event_source.rotated", target=rotated, before=before, after=snapshot(rotated))
    return MadeSource(rotated, token)


@transaction.atomic
def revoke_source(*, source: EventSource, at: datetime.datetime, actor: Actor) -> EventSource:
    """Revoke the source's token; revoking it again changes nothing."""
    revoked = _locked(source)
    before = snapshot(revoked)
    revoked.revoked_at = revoked.revoked_at or at
    save_change(revoked, before, act="event_source.revoked", actor=actor)
    return revoked


@atomic_act
def map_text(*, source: EventSource, text: str, server: Server, actor: Actor) -> SourceMapping:
    """Map a text in the source's records to a server, replacing an earlier mapping."""
    text = text.strip()
    if not 1 <= len(text) <= TEXT_LENGTH or not is_storable(text):
        raise Invalid(Fault("text", f"must be from 1 to {TEXT_LENGTH} characters, without control characters"))
    mapping = SourceMapping.objects.select_for_update().filter(source=source, text=text).first()
    if mapping is None:
        mapping = SourceMapping.objects.create(source=source, text=text, server=server)
        record(actor=actor, act="source_mapping.set", target=mapping, after=snapshot(mapping))
        return mapping
    before = snapshot(mapping)
    mapping.server = server
    save_change(mapping, before, act="source_mapping.set", actor=actor)
    return mapping


@transaction.atomic
def unmap_text(*, source: EventSource, text: str, actor: Actor) -> None:
    """Remove the mapping of a text. Raises NotFound."""
    mapping = SourceMapping.objects.select_for_update().filter(source=source, text=text.strip()).first()
    if mapping is None:
        raise NotFound
    record(actor=actor, act="source_mapping.removed", target=mapping, before=snapshot(mapping))
    mapping.delete()


def find_source(token: str, *, at: datetime.datetime) -> EventSource | None:
    """Return the usable source with this token; accepts any text."""
    return keys.find(EventSource.objects.filter(is_active=True), token, at=at)


def source_named(name: str) -> EventSource:
    """Return the source of this name; raises NotFound."""
    source = EventSource.objects.filter(name_key=fold(name.strip())).first()
    if source is None:
        raise NotFound(f"The event source {name} could not be found")
    return source


def server_called(name: str) -> Server:
    """Return the living server that `organization/server` or a UUID names; raises NotFound."""
    organization, slash, permalink = name.partition("/")
    living = Server.objects.living()
    if slash:
        found = living.filter(organization__permalink=organization, permalink=permalink).first()
    else:
        found = living.filter(uuid=name).first() if _is_uuid(name) else None
    if found is None:
        raise NotFound(f"The server {name} could not be found")
    return found


def _locked(source: EventSource) -> EventSource:
    return locked(EventSource.objects.all(), source.pk, no_key=False)


def _check(source: EventSource) -> None:
    """Validate a source's own fields; raises Invalid with every fault."""
    faults = []
    source.name = source.name.strip()
    if not is_visible(source.name) or len(source.name) > NAME_LENGTH or not is_storable(source.name):
        faults.append(Fault("name", f"must be from 1 to {NAME_LENGTH} characters, without control characters"))
    elif EventSource.objects.filter(name_key=fold(source.name)).exclude(pk=source.pk).exists():
        faults.append(Fault("name", TAKEN))
    if source.format not in sources.FORMATS:
        faults.append(Fault("format", f"must be one of {', '.join(sources.FORMATS)}"))
    if not _is_time_zone(source.time_zone):
        faults.append(Fault("time_zone", "must be the name of a time zone, such as Europe/Amsterdam"))
    if len(source.tenant_field) > _LONGEST_PATH or not is_storable(source.tenant_field):
        faults.append(Fault("tenant_field", f"must be at most {_LONGEST_PATH} characters, without control characters"))
    source.verification_key = source.verification_key.strip()
    if len(source.verification_key) > _LONGEST_KEY:
        faults.append(Fault("verification_key", f"must be at most {_LONGEST_KEY} characters"))
    elif source.verification_key and source.format in sources.FORMATS:
        try:
            sources.check_key(source.format, source.verification_key)
        except sources.BadKey as problem:
            faults.append(Fault("verification_key", f"cannot be used: {problem}"))
    if faults:
        raise Invalid(*faults)


def _is_time_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
        return False
    return len(name) <= 64


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
