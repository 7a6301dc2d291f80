"""Publishes revisions, from the current configuration or an earlier revision, and selects the wanted revision of each node."""

import datetime
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import orjson
import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import transaction

from core.audit import Actor, record
from core.errors import Conflict, NotFound, Refused
from nodes import changes, texts
from nodes.models import Node, NodePolicy, Publication, Revision, RevisionPolicy
from nodes.policy import documents
from nodes.policy.compiled import Compiled
from nodes.policy.compilers import NoCompiler, compile_for
from nodes.policy.model import Overlay, Policy
from nodes.policy.platform import is_large, read_platform
from nodes.policy.read import policy_of

logger = structlog.get_logger(__name__)

AUTOMATIC = "auto"
# Without an entry in the audit trail nothing has changed; now and then it is looked at all the same.
CHECKED_EVERY = datetime.timedelta(minutes=10)
_ATTEMPTS = 5
_BUSY, _BUSY_FOR = "nodes.publishing", 30
# After the configuration was read, it is not read again for so many times as long, in whole seconds: each act of a tenant has
# it read, and of a large platform that takes a second.
_REST = 3


class NothingToPublish(Refused):
    """There is no node with a compiler."""

    default_message = "There are no nodes to publish to"


class Overtaken(Exception):
    """Another revision was published since this one was read."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a revision would have, by node: the policy and its digest. `based_on` is the newest revision when it was read."""

    policies: Mapping[int, Policy]
    digests: Mapping[int, str]
    based_on: Revision | None
    state: str
    audit_id: int

    @property
    def number(self) -> int:
        """The number that it would be published under."""
        return 1 if self.based_on is None else self.based_on.number + 1


@dataclass(frozen=True, slots=True)
class Trial:
    """Which nodes (by id) get a revision first, for how long, and how many percentage points their accepted share may lose."""

    nodes: frozenset[int]
    hold: datetime.timedelta
    margin: int = 5


# --- Acts ------------------------------------------------------------------------------------------------------------


def publish(
    *, actor: Actor, now: datetime.datetime, trial: Trial | None = None, on_node: Callable[[], None] = lambda: None
) -> Revision:
    """Publish the current configuration to all nodes; without differences, return the newest revision.

    After a rollback this is what lets automatic publication go on; it ends a trial. With `trial` only some nodes get it
    first (nodes.canary decides what comes of it). Raises NothingToPublish, and Conflict where no trial can be.
    """
    for _ in range(_ATTEMPTS):
        draft = read_draft()
        if not draft.policies:
            raise NothingToPublish
        kind = Revision.Kind.PUBLISHED if trial is None else Revision.Kind.CANARY
        try:
            return _publish(draft, kind=kind, actor=actor, now=now, trial=trial, on_node=on_node)
        except Overtaken:
            continue
    raise Conflict("Another publication is running; try again")


def publish_if_changed(*, now: datetime.datetime, in_request: bool = False) -> bool:
    """Publish changes automatically, if the platform is set to do so; return whether it may have published.

    Cheap where nothing has changed. Does nothing after a rollback, which it would undo, and while another process is at it;
    nor `in_request` on a large platform, where it takes minutes: the schedule does it.
    """
    if settings.SLUICE_PUBLISH != AUTOMATIC or is_held() or not _may_have_changed(now):
        return False
    if in_request and is_large():
        return False
    # A hint, not a lock: of many waiting requests, one reads the platform. It expires if its holder dies.
    if not cache.add(_BUSY, True, timeout=_BUSY_FOR):
        return False
    began = renewed = time.monotonic()

    def on_node() -> None:
        nonlocal renewed
        if time.monotonic() > renewed + _BUSY_FOR / 3:
            renewed = time.monotonic()
            cache.set(_BUSY, True, timeout=_BUSY_FOR)

    try:
        draft = read_draft(on_node=on_node)
        if draft.policies and not _is_rollback(draft.based_on):
            _publish(draft, kind=Revision.Kind.AUTOMATIC, actor=Actor.system(), now=now, on_node=on_node)
    except Overtaken:
        # Its reader saw what this one saw, or more; the next look finds out.
        logger.info("publication_overtaken")
    finally:
        if rest := int(_REST * (time.monotonic() - began)):
            cache.set(_BUSY, True, timeout=rest)
        else:
            cache.delete(_BUSY)
    return True


def roll_back(
    *, number: int, actor: Actor, now: datetime.datetime, on_node: Callable[[], None] = lambda: None
) -> Revision:
    """Publish an earlier revision again, under a new number; raises NotFound, and Conflict for the newest one.

    Nodes that it does not know keep their policies. Automatic publication stops until an operator publishes.
    """
    earlier = Revision.objects.filter(number=number).first()
    if earlier is None:
        raise NotFound(f"The revision {number} could not be found")
    for _ in range(_ATTEMPTS):
        draft = rollback_draft(earlier)
        if draft.based_on == earlier:
            # It would change nothing but that changes are not published any more.
            raise Conflict(f"The revision {number} is the newest one")
        try:
            return _publish(draft, kind=Revision.Kind.ROLLBACK, actor=actor, now=now, repeats=number, on_node=on_node)
        except Overtaken:
            continue
    raise Conflict("Another publication is running; try again")


def is_held() -> bool:
    """Whether automatic publication is stopped: an earlier revision was published again, or one is on trial."""
    return _is_rollback(_newest()) or Publication.objects.filter(canary__isnull=False).exists()


# --- Reading ---------------------------------------------------------------------------------------------------------


def read_draft(*, on_node: Callable[[], None] = lambda: None) -> Draft:
    """Read the current configuration of all nodes; `on_node` is called for each."""
    # Before the configuration: what changes while that is read makes another state, which is looked at again.
    based_on = _newest()
    state, audit_id = changes.state()
    platform = read_platform()
    number = 1 if based_on is None else based_on.number + 1
    policies, digests = {}, {}
    for pk in platform.nodes:
        on_node()
        policies[pk] = policy_of(platform, pk, revision=number)
        digests[pk] = documents.digest_of(policies[pk])
    return Draft(policies, digests, based_on, state, audit_id)


def rollback_draft(earlier: Revision) -> Draft:
    """Return what publishing an earlier revision again would publish; nodes that it does not know keep their policies."""
    based_on = _newest()
    state, audit_id = changes.state()
    living = set(Node.objects.values_list("pk", flat=True))
    stored = _stored_policies(based_on) | _stored_policies(earlier)
    policies = {pk: policy for pk, policy in stored.items() if pk in living}
    digests = {pk: documents.digest_of(policy) for pk, policy in policies.items()}
    return Draft(policies, digests, based_on, state, audit_id)


def policies_in(revision: Revision) -> dict[int, NodePolicy]:
    """Return the compiled policies of a revision by node, by one query."""
    rows = NodePolicy.objects.filter(revisions__revision=revision).order_by("node_id")
    return {row.node_id: row for row in rows}


def _is_rollback(revision: Revision | None) -> bool:
    return revision is not None and revision.kind == Revision.Kind.ROLLBACK


def _newest() -> Revision | None:
    return Revision.objects.order_by("-number").first()


def _stored_policies(revision: Revision | None) -> dict[int, Policy]:
    if revision is None:
        return {}
    rows = policies_in(revision)
    held = texts.load(row.policy for row in rows.values())
    return {pk: documents.from_json(held[row.policy]) for pk, row in rows.items()}


def _may_have_changed(now: datetime.datetime) -> bool:
    publication = Publication.objects.filter(pk=1).first()
    if publication is None or publication.checked_at is None or abs(now - publication.checked_at) >= CHECKED_EVERY:
        return True
    return publication.checked != changes.state()[0]


# --- Writing ---------------------------------------------------------------------------------------------------------


def _publish(
    draft: Draft,
    *,
    kind: str,
    actor: Actor,
    now: datetime.datetime,
    repeats: int | None = None,
    trial: Trial | None = None,
    on_node: Callable[[], None] = lambda: None,
) -> Revision:
    """Save the draft as a revision for all nodes; without differences, keep the newest one.

    Raises Overtaken. Compiled before the transaction, which is short.
    """
    held = {} if draft.based_on is None else policies_in(draft.based_on)
    fresh: dict[int, tuple[Policy, Compiled]] = {}
    for pk, policy in draft.policies.items():
        on_node()
        if pk not in held or held[pk].digest != draft.digests[pk] or held[pk].kind != policy.node.kind:
            numbered = replace(policy, revision=draft.number)
            try:
                fresh[pk] = numbered, compile_for(numbered, Overlay())
            except NoCompiler:
                logger.warning("no_compiler", kind=policy.node.kind, node=policy.node.name)
    kept = {pk: row for pk, row in held.items() if pk in draft.policies and pk not in fresh}
    # A rollback always makes a revision, and so does what ends one.
    is_same = not fresh and kept.keys() == held.keys() and kind != Revision.Kind.ROLLBACK
    with transaction.atomic():
        publication = _locked(draft)
        latest = draft.based_on
        if latest is not None and is_same and not _is_rollback(latest) and publication.canary_id is None:
            _note_checked(publication, draft, now)
            return latest
        if not fresh and not kept:
            raise NothingToPublish
        if trial is not None and publication.canary_id is not None:
            raise Conflict("A revision is on trial already; publish to all nodes, or an earlier revision, to end it")
        revision = _write(draft, kind, actor, now, repeats, fresh, kept)
        publication.revision = revision
        publication.end_trial()
        receivers = {*fresh, *kept}
        if trial is not None:
            receivers &= trial.nodes
            _begin_trial(publication, draft, revision, trial, now)
        _note_checked(publication, draft, now)
        Node.objects.filter(pk__in=receivers).update(revision=revision)
        after = {
            "number": revision.number,
            "kind": kind,
            "repeats": repeats,
            "first_on": sorted(draft.policies[pk].node.name for pk in receivers) if trial is not None else None,
            "nodes": sorted(policy.node.name for policy, _ in fresh.values()),
        }
        record(actor=actor, act="revision.published", target=revision, after=after)
    return revision


def _locked(draft: Draft) -> Publication:
    Publication.objects.bulk_create([Publication(pk=1)], ignore_conflicts=True)
    publication = Publication.objects.select_for_update().get(pk=1)
    if publication.revision_id != (None if draft.based_on is None else draft.based_on.pk):
        raise Overtaken
    return publication


def _begin_trial(
    publication: Publication, draft: Draft, revision: Revision, trial: Trial, now: datetime.datetime
) -> None:
    if draft.based_on is None or not trial.nodes & draft.policies.keys():
        raise Conflict("A trial needs an earlier revision and an existing node")
    publication.canary, publication.canary_before = revision, draft.based_on
    publication.canary_began_at, publication.canary_ends_at = now, now + trial.hold
    publication.canary_margin = trial.margin


def _note_checked(publication: Publication, draft: Draft, now: datetime.datetime) -> None:
    publication.checked, publication.checked_at = draft.state, now
    publication.save()


def _write(
    draft: Draft,
    kind: str,
    actor: Actor,
    now: datetime.datetime,
    repeats: int | None,
    fresh: Mapping[int, tuple[Policy, Compiled]],
    kept: Mapping[int, NodePolicy],
) -> Revision:
    digests = {**{pk: row.digest for pk, row in kept.items()}, **{pk: draft.digests[pk] for pk in fresh}}
    revision = Revision.objects.create(
        number=draft.number,
        kind=kind,
        digest=hashlib.sha256(orjson.dumps(sorted(digests.items()))).hexdigest(),
        repeats=repeats,
        changes=changes.since(0 if draft.based_on is None else draft.based_on.audit_id),
        audit_id=draft.audit_id,
        actor_label=actor.label[:200],
        created_at=now,
    )
    rows = [_node_policy(pk, policy, compiled, draft.digests[pk]) for pk, (policy, compiled) in fresh.items()]
    policies = [*NodePolicy.objects.bulk_create(rows), *kept.values()]
    RevisionPolicy.objects.bulk_create(RevisionPolicy(revision=revision, policy=policy) for policy in policies)
    return revision


def _node_policy(node: int, policy: Policy, compiled: Compiled, digest: str) -> NodePolicy:
    document, tags = documents.to_json(policy), documents.tags_to_json(compiled.sources)
    files = {path: text.encode() for path, text in sorted(compiled.files.items())}
    texts.store([document, tags, *files.values()])
    return NodePolicy(
        node_id=node,
        node_name=policy.node.name,
        kind=policy.node.kind,
        number=policy.revision,
        digest=digest,
        policy=texts.digest_of(document),
        sources=texts.digest_of(tags),
        files={path: texts.digest_of(text) for path, text in files.items()},
        virtual_mtas=[mta.id for mta in policy.virtual_mtas],
        servers=[tenant.id for tenant in policy.tenants],
        server_names=[tenant.name for tenant in policy.tenants],
        fidelity=documents.findings_to_json(compiled.fidelity),
    )
