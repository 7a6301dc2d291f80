"""Nodes and revisions in the panel."""

import datetime
import re

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from django.utils import timezone

from core import keys
from core.models import Job
from nodes.models import Node, Publication, Revision
from nodes.nodes import addresses_on, create_node
from nodes.publishing import publish
from nodes.replay_jobs import KIND
from nodes.reports import read_report, take_report
from nodes.tasks import run_replays
from tests.panel.conftest import NOW, SYSTEM, sign_in
from tests.words import ip_addresses

pytestmark = pytest.mark.django_db


def text_of(response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_a_node_is_made_and_its_key_is_shown_once(platform, root):
    given = {"name": "mta2", "kind": "haraka", "address_list": ""}
    made = root.post(reverse("admin:nodes_node_add"), given)
    assert made.status_code == 200
    node = Node.objects.get(name="mta2")
    words = set(re.findall(r"\b\w{32}\b", made.content.decode()))
    [key] = [word for word in words if keys.digest(word) == node.key_digest]
    page = root.get(reverse("admin:nodes_node_change", args=[node.pk]))
    assert key not in page.content.decode()
    assert "No revision has been published for this node yet" in text_of(page)


def test_an_address_of_another_node_is_refused_by_its_name(platform, root):
    given = {"name": "mta2", "kind": "haraka", "address_list": platform.address.ipv4}
    refused = root.post(reverse("admin:nodes_node_add"), given)
    assert f"{platform.address.ipv4} is on node mta1 already" in text_of(refused)
    assert Node.objects.count() == 1


def test_a_node_is_changed(platform, root):
    node = Node.objects.get()
    root.post(reverse("admin:nodes_node_change", args=[node.pk]), {"name": "mta-1", "address_list": ""})
    node.refresh_from_db()
    assert (node.name, addresses_on(node)) == ("mta-1", [])


def test_pasted_addresses_have_no_characters_that_are_not_shown(platform, root):
    node = Node.objects.get()
    pasted = f"\ufeff{platform.address.ipv4}\u200b;\u00a0{platform.address.ipv4}\u00ad,\r\n"
    done = root.post(reverse("admin:nodes_node_change", args=[node.pk]), {"name": "mta1", "address_list": pasted})
    assert done.status_code == 302
    assert addresses_on(node) == [platform.address.ipv4]


def test_a_node_says_how_its_suppression_lists_compare_with_the_panels(platform, root):
    node = Node.objects.get()

    def page():
        return text_of(root.get(reverse("admin:nodes_node_change", args=[node.pk])))

    counts = {"lists": 2, "loading": 0, "compared": 2, "entries": 1, "differed": 0}
    an_hour_ago = (timezone.now() - datetime.timedelta(minutes=61)).isoformat()
    report = read_report({"suppressions": counts, "suppressions_compared_at": an_hour_ago})
    take_report(node=node, report=report, at=timezone.now())
    assert "Suppression lists 2 1 entry, compared with the panel’s 1 hour, 1 minute ago".replace(
        " ", ""
    ) in page().replace("\N{NO-BREAK SPACE}", "").replace(" ", "")
    assert "differed" not in page()
    more = {"suppressions": counts | {"loading": 1, "differed": 3}, "suppressions_differed_at": "2026-11-18T09:00:00Z"}
    take_report(node=node, report=read_report(more), at=timezone.now())
    assert "1 loading" in page()
    assert "differed from the panel’s on 18 Nov 2026 09:00 and was fetched again (3 times in all)" in page()


def test_publishing_shows_first_what_it_does(platform, root):
    rule = {"domains": ["gmail.com"], "max_concurrent_connections": 5, "max_messages_per_hour": 6_000}
    ip_addresses.update(platform.address.pk, {"rules_new": [rule]}, actor=SYSTEM)
    url = reverse("admin:nodes_revision_publish")
    page = text_of(root.get(url))
    assert "gmail.com on 1 address 100 → 6,000 an hour, 10 → 5 connections" in page
    assert "Replay the mail of the last seven days" in page
    assert root.post(url, {"replay": "1"})["Location"] == url
    assert "A worker replays the events: 0 of 1 nodes done" in text_of(root.get(url))
    # Once, however often it is requested.
    root.post(url, {"replay": "1"})
    run_replays()
    page = text_of(root.get(url))
    assert re.search(
        r"mta1 No hourly limit of this mail changes. From the events still held, since \d+ [A-Z][a-z]{2} \d\d:00\.",
        page,
    )
    assert Job.objects.filter(kind=KIND).count() == 1
    assert Revision.objects.count() == 1
    done = root.post(url)
    revision = Revision.objects.get(number=2)
    assert done["Location"] == reverse("admin:nodes_revision_change", args=[revision.pk])
    assert revision.actor_label == "root"
    page = text_of(root.get(done["Location"]))
    assert "0 of 1 nodes on r2" in page
    assert "gmail.com on 1 address" in page
    again = reverse("admin:nodes_revision_again", args=[Revision.objects.get(number=1).pk])
    assert "gmail.com on 1 address 6,000 → 100 an hour" in text_of(root.get(again))
    root.post(again)
    assert (Revision.objects.first().kind, Revision.objects.first().repeats) == ("rollback", 1)
    assert "changes are not published automatically until you publish" in text_of(root.get(url))
    newest = Revision.objects.get(number=3)
    page = reverse("admin:nodes_revision_change", args=[newest.pk])
    again = reverse("admin:nodes_revision_again", args=[newest.pk])
    for refused in (root.get(again), root.post(again)):
        assert refused["Location"] == page
        said = [str(each) for each in get_messages(refused.wsgi_request)]
        assert said[-1] == "Not published. The revision 3 is the newest one."
    assert Revision.objects.count() == 3


def test_a_revision_is_tried_on_one_node_first(platform, root):
    create_node(name="mta2", kind="haraka", addresses=[], actor=SYSTEM)
    publish(actor=SYSTEM, now=NOW)
    url, listed = reverse("admin:nodes_revision_publish"), reverse("admin:nodes_revision_changelist")
    assert "Try it on some nodes first" in text_of(root.get(url))
    ip_addresses.update(platform.address.pk, {"default": {"max_messages_per_hour": 77}}, actor=SYSTEM)
    first = Node.objects.get(name="mta1")
    refused = root.post(url, {"nodes": [first.pk], "minutes": "0", "margin": "101"})
    assert refused.context["trial_form"].errors == {
        "minutes": ["Ensure this value is greater than or equal to 1."],
        "margin": ["Ensure this value is less than or equal to 100."],
    }
    assert "nodes" in root.post(url, {"nodes": ["999"]}).context["trial_form"].errors
    done = root.post(url, {"nodes": [first.pk], "minutes": "20", "margin": "3"}, follow=True)
    revision = Revision.objects.get(number=3)
    assert f"{revision} is on trial." in text_of(done)
    publication = Publication.objects.get()
    assert publication.canary == revision
    assert publication.canary_margin == 3
    assert publication.canary_ends_at - publication.canary_began_at == datetime.timedelta(minutes=20)
    assert set(Node.objects.filter(revision=revision)) == {first}
    page = text_of(root.get(listed))
    assert f"{revision} is on trial on mta1 until" in page
    assert "On these nodes: receivers accepted 100.0 % of 0 attempts" in page
    # Publishing to all ends it; while it lasts, no other can begin.
    page = text_of(root.get(url))
    assert f"which ends the trial of {revision}" in page
    assert "Try it on some nodes first" not in page
    root.post(url)
    assert Publication.objects.get().canary is None
    assert "is on trial" not in text_of(root.get(listed))


def test_only_who_may_change_publishes(platform, acme):
    revision = publish(actor=SYSTEM, now=NOW)
    for name, args in (("publish", []), ("again", [revision.pk])):
        url = reverse(f"admin:nodes_revision_{name}", args=args)
        assert sign_in(acme.owner).post(url).status_code == 403
    assert Revision.objects.count() == 1
