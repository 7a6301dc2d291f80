"""Previews and publications of large platforms: by a worker, and never in a request."""

import datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from core.errors import Conflict
from core.models import Job, User
from nodes import preview, publication_jobs, publishing
from nodes.models import Node, Publication, Revision
from nodes.policy import platform
from nodes.preview import preview_of_configuration
from nodes.publication_jobs import MOST_SHOWN, PREVIEW, latest_preview, request_preview, request_publication
from nodes.publishing import Trial, publish, publish_if_changed
from nodes.tasks import run_publications, run_replays
from tests.cast import ANN, NOW
from tests.panel.conftest import sign_in
from tests.panel.test_nodes import text_of
from tests.words import ip_addresses

pytestmark = pytest.mark.django_db


@pytest.fixture
def root():
    return User.objects.create_superuser("root")


@pytest.fixture
def large(site, monkeypatch):
    """Return a platform that is large, with a change that is not published yet."""
    publish(actor=ANN, now=NOW)
    ip_addresses.update(site.first.pk, {"default": {"max_messages_per_hour": 9}}, actor=ANN)
    monkeypatch.setattr(platform, "MOST_IN_A_REQUEST", 1)
    return site


@pytest.fixture
def in_request(monkeypatch):
    """Fail where a policy is derived or compiled, until the function that this returns is called."""

    def never(*args, **given):
        raise AssertionError("a request compiles policies")

    patched = [(publishing, "policy_of"), (publishing, "compile_for"), (preview, "compile_for")]
    kept = [(module, name, getattr(module, name)) for module, name in patched]
    for module, name in patched:
        monkeypatch.setattr(module, name, never)

    def over():
        for module, name, function in kept:
            monkeypatch.setattr(module, name, function)

    return over


def test_it_counts_no_further_than_it_has_to(site, django_assert_num_queries, monkeypatch):
    assert not platform.is_large()
    monkeypatch.setattr(platform, "MOST_IN_A_REQUEST", 1)
    with django_assert_num_queries(2) as captured:
        assert platform.is_large()
    assert "LIMIT 1" in captured[1]["sql"]


@pytest.mark.storage
def test_the_dialog_of_a_large_platform_compiles_nothing(large, root, in_request):
    client, url = sign_in(root), reverse("admin:nodes_revision_publish")
    assert "a worker compiles the policies" in text_of(client.get(url))
    assert client.post(url, {"preview": "1"})["Location"] == url
    assert "A worker compares the policies of all nodes" in text_of(client.get(url))
    # Once, however often it is requested.
    client.post(url, {"preview": "1"})
    assert Job.objects.filter(kind=PREVIEW).count() == 1
    in_request()
    expected = preview_of_configuration()
    run_publications()
    page = text_of(client.get(url))
    for sentence in expected.nodes[0].sentences:
        assert sentence in page
    assert "Compare again" in page
    client.post(url, {"replay": "1"})
    run_replays()
    assert "From the events still held" in text_of(client.get(url))
    done = client.post(url, {"confirmed": "1"})
    job = Job.objects.get(kind=publication_jobs.PUBLICATION)
    assert done["Location"] == reverse("admin:core_job_change", args=[job.pk])
    assert Revision.objects.count() == 1
    assert "A publication has not ended yet" in text_of(client.get(url))
    run_publications()
    job.refresh_from_db()
    assert (job.state, job.outcome) == ("done", {"revision": 2})
    assert (Revision.objects.get(number=2).actor_label, Node.objects.filter(revision__number=2).count()) == ("root", 2)
    # It was compared with the revision before.
    assert "Compare with the newest revision" in text_of(client.get(url))


def test_an_earlier_one_is_published_again_by_a_worker(large, root):
    publish(actor=ANN, now=NOW)
    client = sign_in(root)
    again = reverse("admin:nodes_revision_again", args=[Revision.objects.get(number=1).pk])
    client.post(again, {"preview": "1"})
    run_publications()
    assert "9 → unlimited" in text_of(client.get(again)) or "an hour" in text_of(client.get(again))
    client.post(again, {"confirmed": "1"})
    run_publications()
    assert (Revision.objects.first().kind, Revision.objects.first().repeats) == ("rollback", 1)


def test_requests_of_nodes_leave_publishing_to_the_schedule(large, settings, in_request):
    assert settings.SLUICE_PUBLISH == "auto"
    assert not publish_if_changed(now=NOW, in_request=True)
    in_request()
    assert publish_if_changed(now=NOW)
    assert Revision.objects.count() == 2


def test_a_trial_is_begun_by_a_worker(large, root):
    trial = Trial(frozenset({large.here.pk}), datetime.timedelta(minutes=20), 3)
    request_publication(repeats=None, trial=trial, user=root)
    with pytest.raises(Conflict, match="Another publication is running"):
        request_publication(repeats=None, trial=None, user=root)
    run_publications()
    publication = Publication.objects.get()
    assert (publication.canary.number, publication.canary_margin) == (2, 3)
    assert publication.canary_ends_at - publication.canary_began_at == datetime.timedelta(minutes=20)
    # What an act refuses is the job's failure.
    job = request_publication(repeats=99, trial=None, user=root)
    run_publications()
    job.refresh_from_db()
    assert (job.state, job.failure) == ("failed", "The revision 99 could not be found")


def test_rights_are_those_of_the_moment(large, root):
    job = request_publication(repeats=None, trial=None, user=root)
    User.objects.filter(pk=root.pk).update(is_superuser=False)
    run_publications()
    job.refresh_from_db()
    assert (job.state, job.failure) == ("failed", "The user who requested the publication can no longer publish")
    assert Revision.objects.count() == 1


def test_one_preview_at_a_time_and_none_that_is_old(large, root):
    now = timezone.now()
    job = request_preview(repeats=None, user=root, now=now)
    with pytest.raises(Conflict, match="Another preview has not ended yet"):
        request_preview(repeats=1, user=root, now=now)
    assert latest_preview(repeats=None, now=now) == job
    assert latest_preview(repeats=None, now=now + 2 * publication_jobs.CURRENT_FOR) is None
    publish(actor=ANN, now=NOW)
    assert latest_preview(repeats=None, now=now) is None
    run_publications()
    job.refresh_from_db()
    assert job.failure == "Another revision was published meanwhile; request the preview again"


def test_so_many_nodes_are_compared_and_the_others_named(site):
    assert MOST_SHOWN == 20
    found = preview.preview(publishing.read_draft(), most=1)
    assert ([each.node for each in found.nodes], found.more) == (["here"], ("there",))
    assert found.document()["more"] == ["there"]
    revision = publish(actor=ANN, now=NOW)
    found = preview.changes_of(revision, most=1)
    assert ([each.node for each in found.nodes], found.more) == (["here"], ("there",))
