"""Revisions: published by themselves, on request, and an earlier one again."""

import json

import pytest
from django.core.cache import cache

from core.errors import Conflict, NotFound
from core.models import AuditEntry
from nodes import publishing, texts
from nodes.models import Node, NodePolicy, Publication, Revision
from nodes.nodes import create_node, delete_node
from nodes.preview import changes_of, preview_of_configuration, preview_of_rollback
from nodes.publishing import NothingToPublish, publish, publish_if_changed, read_draft, roll_back
from servers.models import Server
from tests.cast import ANN, NOW
from tests.clock import Clock
from tests.nodes.platform import rule
from tests.words import ip_addresses
from throttling.models import Rule

pytestmark = pytest.mark.django_db


def lower(site, messages: int) -> None:
    pk = Rule.objects.get().pk
    changed = {"id": pk, **rule(["gmail.com", "*.gmail.com"], 20, messages)}
    ip_addresses.update(site.first.pk, {"rules": [changed]}, actor=ANN, replaces_rules=True)


def file_of(node: Node) -> dict:
    row = NodePolicy.objects.get(node_id=node.pk, revisions__revision=Node.objects.get(pk=node.pk).revision)
    [text] = texts.load(row.files.values()).values()
    return json.loads(text)


def limits_of(node: Node) -> list[int]:
    return [each["per_hour"] for each in file_of(node)["limit"]]


@pytest.mark.storage
def test_it_works(site):
    revision = publish(actor=ANN, now=NOW)
    assert (revision.number, revision.kind, revision.repeats, revision.actor_label) == (1, "published", None, "ann")
    assert {node.revision for node in Node.objects.all()} == {revision}
    entry = AuditEntry.objects.latest("pk")
    assert (entry.act, entry.actor_label, entry.target_label) == ("revision.published", "ann", "r1")
    assert entry.after == {
        "number": 1,
        "kind": "published",
        "repeats": None,
        "first_on": None,
        "nodes": ["here", "there"],
    }
    # Again, and nothing differs.
    assert publish(actor=ANN, now=NOW) == revision
    lower(site, 6_000)
    second = publish(actor=ANN, now=NOW)
    assert (second.number, second.changes["count"]) == (2, 1)
    assert second.changes["newest"][0]["act"] == "ip_address.changed"
    assert limits_of(site.here) == [0, 6_000]
    # The other node's policy is the same row.
    assert [row.node_name for row in NodePolicy.objects.order_by("number", "node_id")] == ["here", "there", "here"]


@pytest.mark.storage
def test_an_earlier_one_again(site, settings):
    publish(actor=ANN, now=NOW)
    lower(site, 6_000)
    publish(actor=ANN, now=NOW)
    back = roll_back(number=1, actor=ANN, now=NOW)
    assert (back.number, back.kind, back.repeats) == (3, "rollback", 1)
    assert limits_of(site.here) == [0, 12_000]
    assert file_of(site.here)["revision"] == 3
    # It stays, though the configuration is another one, until somebody publishes.
    assert settings.SLUICE_PUBLISH == "auto"
    assert not publish_if_changed(now=NOW)
    assert publishing.is_held()
    assert publish(actor=ANN, now=NOW).number == 4
    assert limits_of(site.here) == [0, 6_000]
    assert not publishing.is_held()
    with pytest.raises(NotFound, match="The revision 99 could not be found"):
        roll_back(number=99, actor=ANN, now=NOW)


def test_it_rejects_the_newest_one_again(site):
    first = publish(actor=ANN, now=NOW)
    with pytest.raises(Conflict, match="The revision 1 is the newest one"):
        roll_back(number=1, actor=ANN, now=NOW)
    assert (publishing.is_held(), list(Revision.objects.all())) == (False, [first])


def test_a_rollback_keeps_nodes_that_it_does_not_know(site):
    publish(actor=ANN, now=NOW)
    late = create_node(name="late", kind="haraka", actor=ANN).node
    publish(actor=ANN, now=NOW)
    delete_node(node=site.there, actor=ANN)
    roll_back(number=1, actor=ANN, now=NOW)
    assert sorted(NodePolicy.objects.filter(revisions__revision__number=3).values_list("node_name", flat=True)) == [
        "here",
        "late",
    ]
    assert file_of(late)["sources"] == {}


@pytest.mark.storage
def test_by_itself_only_when_something_changed(site, django_assert_max_num_queries):
    assert publish_if_changed(now=NOW)
    with django_assert_max_num_queries(5):
        assert not publish_if_changed(now=NOW)
    lower(site, 6_000)
    assert publish_if_changed(now=NOW)
    assert Revision.objects.count() == 2
    # Ten minutes later it looks all the same, for what was written past the acts.
    Rule.objects.update(max_messages_per_hour=5)
    assert not publish_if_changed(now=NOW)
    assert publish_if_changed(now=NOW + publishing.CHECKED_EVERY)
    assert limits_of(site.here) == [0, 5]


def test_an_entry_that_is_committed_late_is_seen(site):
    publish_if_changed(now=NOW)
    before = Publication.objects.get().checked
    # Its number is lower than the newest that was seen.
    first = AuditEntry.objects.order_by("pk").first()
    late = AuditEntry(
        pk=first.pk - 1,
        actor_kind="system",
        actor_label="x",
        act="a.b",
        target_type="t",
        target_id="1",
        target_label="t",
    )
    late.save(force_insert=True)
    assert publishing.changes.state()[0] != before


def test_by_hand_nothing_is_published_by_itself(site, settings):
    settings.SLUICE_PUBLISH = "manual"
    assert not publish_if_changed(now=NOW)
    assert not Revision.objects.exists()


def test_who_is_overtaken_looks_again(site, monkeypatch):
    publish(actor=ANN, now=NOW)
    lower(site, 6_000)
    drafts = []

    def draft(**given):
        drafts.append(read_draft())
        if len(drafts) == 1:
            # Another process publishes what this one has just read, and more.
            lower(site, 3_000)
            publishing._publish(read_draft(), kind="automatic", actor=ANN, now=NOW)
        return drafts[-1]

    monkeypatch.setattr(publishing, "read_draft", draft)
    revision = publish(actor=ANN, now=NOW)
    assert (len(drafts), revision.number) == (2, 2)
    assert limits_of(site.here) == [0, 3_000]


def test_there_must_be_a_node():
    with pytest.raises(NothingToPublish):
        publish(actor=ANN, now=NOW)
    assert publish_if_changed(now=NOW)
    assert not Revision.objects.exists()


def test_a_preview_tells_what_publishing_would_do(site):
    publish(actor=ANN, now=NOW)
    assert preview_of_configuration().document() == {
        "revision": 2, "based_on": 1, "nodes": [], "unchanged": ["here", "there"],
    }  # fmt: skip
    lower(site, 6_000)
    document = preview_of_configuration().document()
    [node] = document["nodes"]
    assert (document["revision"], document["based_on"], document["unchanged"]) == (2, 1, ["there"])
    assert (node["node"], node["kind"], node["fidelity"]) == ("here", "haraka", [])
    assert node["changes"] == [
        "[*.]gmail.com on 1 address 12,000 → 6,000 an hour",
        "1 other pattern unchanged; 1 customer, 1 server send there",
    ]
    assert '-      "per_hour": 12000' in node["files"]["sluice.json"]
    assert '+      "per_hour": 6000' in node["files"]["sluice.json"]
    # It was only looked at.
    assert Revision.objects.count() == 1
    published = changes_of(publish(actor=ANN, now=NOW))
    assert published.document() == document
    [back] = preview_of_rollback(1).nodes
    assert back.sentences[0] == "[*.]gmail.com on 1 address 6,000 → 12,000 an hour"


def test_a_preview_leaves_out_files_that_differ_in_the_revision_alone(site):
    Node.objects.filter(name="here").update(kind="postfix")
    publish(actor=ANN, now=NOW)
    lower(site, 6_000)
    [node] = preview_of_configuration().nodes
    assert node.files
    for difference in node.files.values():
        assert [line for line in difference.splitlines()[2:] if line[0] in "+-" and "Sluice revision" not in line]


def test_a_new_line_of_the_fidelity_report_is_told(site, acme):
    publish(actor=ANN, now=NOW)
    Server.objects.filter(pk=acme.server.pk).update(mode=Server.Mode.DEVELOPMENT, send_limit=5)
    [node] = preview_of_configuration().nodes
    assert [(each["code"], each["about"]) for each in node.new_findings] == [
        # Haraka holds the send limit exactly.
        ("development_mode", ["acme/transactional-server"])
    ]


def test_what_is_published_is_never_changed(site):
    publish(actor=ANN, now=NOW)
    before = list(NodePolicy.objects.values()), list(Revision.objects.values())
    ip_addresses.update(site.second.pk, {"rules_new": [rule(["yahoo.com"], 1, 1)]}, actor=ANN)
    publish(actor=ANN, now=NOW)
    roll_back(number=1, actor=ANN, now=NOW)
    after = (
        list(NodePolicy.objects.filter(number=1).values()),
        list(Revision.objects.filter(number=1).values()),
    )
    assert after == before


def test_a_configuration_that_takes_long_to_read_is_not_read_without_a_pause(site, monkeypatch):
    publish(actor=ANN, now=NOW)
    clock, reads = Clock(), []

    def read(*, on_node):
        reads.append(clock.seconds)
        clock.sleep(2.5)
        return read_draft()

    monkeypatch.setattr(publishing, "read_draft", read)
    monkeypatch.setattr(publishing, "time", clock)
    try:
        lower(site, 6_000)
        assert publish_if_changed(now=NOW)
        lower(site, 3_000)
        assert not publish_if_changed(now=NOW)
        assert len(reads) == 1
        cache.delete(publishing._BUSY)
        assert publish_if_changed(now=NOW)
        assert limits_of(site.here) == [0, 3_000]
    finally:
        cache.delete(publishing._BUSY)
