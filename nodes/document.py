"""The document that a node gets: its policy in the wanted revision, and the overlay."""

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from django.db import transaction

from core.errors import NotFound
from nodes import texts
from nodes.models import Node, NodePolicy, Revision
from nodes.policy import documents
from nodes.policy.compilers import compile_for
from nodes.policy.layout import source_name
from nodes.policy.model import Overlay
from nodes.policy.read import read_overlay

_ETAG_DIGITS = 16


class NoRevision(NotFound):
    """No published revision has a policy for the node."""

    default_message = "No revision has been published for this node yet"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The policy and overlay that a node should apply. `overlay` has its number, which its digest excludes."""

    revision: Revision
    policy: NodePolicy
    overlay: Overlay
    overlay_digest: str

    @property
    def etag(self) -> str:
        """The entity tag of the document, over revision and overlay."""
        return (
            f'"r{self.revision.number}-{self.policy.digest[:_ETAG_DIGITS]}'
            f'-o{self.overlay.number}-{self.overlay_digest[:_ETAG_DIGITS]}"'
        )


def wanted_by(node: Node, *, at: datetime.datetime) -> Wanted:
    """Return the wanted policy and overlay; a changed overlay gets its number here. Raises NoRevision."""
    if node.revision is None:
        raise NoRevision
    policy = NodePolicy.objects.filter(node_id=node.pk, revisions__revision=node.revision).first()
    if policy is None:
        raise NoRevision
    names = dict(zip(policy.servers, policy.server_names, strict=True))
    overlay = read_overlay(virtual_mtas=policy.virtual_mtas, servers=names, at=at)
    digest = hashlib.sha256(orjson.dumps(overlay_document(overlay))).hexdigest()
    number = _overlay_number(node, digest)
    return Wanted(node.revision, policy, replace(overlay, number=number), digest)


def document_of(wanted: Wanted) -> dict[str, Any]:
    """Return the whole document (issue 15, section 3)."""
    row = wanted.policy
    held = texts.load([row.sources, row.policy, *row.files.values()])
    files = {path: held[digest].decode() for path, digest in sorted(row.files.items())}
    return {
        "revision": wanted.revision.number,
        "digest": row.digest,
        "node": row.node_name,
        "kind": row.kind,
        "files": files,
        "sources": orjson.loads(held[row.sources]),
        "overlay": {
            "number": wanted.overlay.number,
            "digest": wanted.overlay_digest,
            **overlay_document(wanted.overlay),
            "files": _changed_files(held[row.policy], files, wanted.overlay),
        },
        "fidelity": row.fidelity,
    }


def overlay_document(overlay: Overlay) -> dict[str, Any]:
    """Return the overlay as sent to nodes, without number and files."""
    return {
        "paused": [source_name(pk) for pk in overlay.paused],
        "suspended": [{"server": each.tenant, "until": _time(each.until)} for each in overlay.suspended],
        "deferred": [
            {"server": each.tenant, "until": _time(each.until), "reason": each.reason} for each in overlay.deferred
        ],
        "credentials": [
            {"id": each.id, "server": each.tenant, "sha256": each.digest, "expires_at": _time(each.expires_at)}
            for each in overlay.keys
        ],
        "networks": [
            {"id": each.id, "server": each.tenant, "network": each.network, "expires_at": _time(each.expires_at)}
            for each in overlay.networks
        ],
        "resting": [
            {"source": source_name(each.source), "domains": list(each.domains), "until": _time(each.until)}
            for each in overlay.resting
        ],
        "caps": [
            {
                "source": source_name(pk),
                "kind": cap.kind.value,
                "rule": cap.rule_id,
                "domains": None if cap.domains is None else sorted(cap.domains),
                "per_hour": cap.max_messages_per_hour,
                "connections": cap.max_concurrent_connections,
                # Of what the node's own policy says, instead of the numbers.
                "percent_per_hour": cap.percent_of_messages,
                "percent_connections": cap.percent_of_connections,
                "until": _time(cap.until),
            }
            for pk, found in overlay.caps.items()
            for cap in found
        ],
    }


def _changed_files(policy: bytes, files: Mapping[str, str], overlay: Overlay) -> dict[str, str | None]:
    """Return the files that the overlay changes; None: the file is removed while the overlay applies."""
    if not (overlay.paused or overlay.suspended or overlay.deferred or overlay.caps or overlay.resting):
        return {}
    compiled = compile_for(documents.from_json(policy), overlay).files
    changed: dict[str, str | None] = {path: None for path in files if path not in compiled}
    changed |= {path: text for path, text in compiled.items() if files.get(path) != text}
    return dict(sorted(changed.items()))


def _overlay_number(node: Node, digest: str) -> int:
    """Return the number of the overlay with this digest: the node's own, or the next one, which is then written."""
    if node.overlay_digest == digest:
        return node.overlay_number
    with transaction.atomic():
        locked = Node.objects.select_for_update(of=("self",)).filter(pk=node.pk).first()
        if locked is None:
            raise NoRevision
        if locked.overlay_digest != digest:
            locked.overlay_number += 1
            locked.overlay_digest = digest
            locked.save(update_fields=["overlay_number", "overlay_digest"])
    node.overlay_number, node.overlay_digest = locked.overlay_number, locked.overlay_digest
    return locked.overlay_number


def _time(at: datetime.datetime | None) -> str | None:
    return None if at is None else at.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
