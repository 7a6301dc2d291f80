"""Acts on many records: how many before doing it, at once for a few, a job with progress for many."""

import datetime

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Permission
from django.urls import reverse

from core import jobs
from core.audit import Actor
from core.models import AuditEntry, Job
from ippools.addresses import NewAddress, create_many
from ippools.models import IPAddress
from panel.bulk import actions, registry, running
from panel.tasks import run_bulk_acts
from servers.models import Membership
from servers.provisioning import create_server
from tests.panel.conftest import NOW, SYSTEM, sign_in

ADDRESSES = reverse("admin:ippools_ipaddress_changelist")
SERVERS = reverse("admin:servers_server_changelist")
CREDENTIALS = reverse("admin:servers_credential_changelist")
JOBS = reverse("admin:core_job_changelist")


# What the forms of acts ask for.
WHY = {"reason": "Spam", "until": None}
VALUES = {"suspend_servers": WHY, "pause_addresses": WHY}


def posted(action, records, **more):
    return {"action": action, ACTION_CHECKBOX_NAME: [each.pk for each in records], **more}


def make_addresses(number):
    rows = [NewAddress(ipv4=f"10.1.{n // 250}.{n % 250 + 1}", hostname="h.example.com") for n in range(number)]
    return create_many(rows, actor=SYSTEM)


def test_it_tells_how_many_and_then_does_it(platform, root):
    addresses = make_addresses(3)
    context = root.post(ADDRESSES, posted("pause_addresses", addresses)).context
    assert context["heading"] == "Pause delivery: 3 IP addresses"
    assert context["shown"] == [each.ipv4 for each in addresses]
    assert not IPAddress.objects.filter(delivery_paused=True).exists()
    response = root.post(
        ADDRESSES, posted("pause_addresses", addresses, confirmed="1", reason="Blocklisted"), follow=True
    )
    assert "3 IP addresses paused." in response.content.decode()
    assert IPAddress.objects.filter(delivery_paused=True).count() == 3
    assert AuditEntry.objects.filter(act="ip_address.paused", actor_label="root").count() == 3


@pytest.mark.parametrize(("act", "where"), [("delete_addresses", ""), ("pause_addresses", "?delivery_paused__exact=0")])
def test_a_confirmation_that_is_sent_twice_is_done_once(platform, root, act, where):
    data = posted(act, make_addresses(2), confirmed="1", reason="Spam")
    assert root.post(ADDRESSES + where, data).status_code == 302
    entries = AuditEntry.objects.count()
    response = root.post(ADDRESSES + where, data, follow=True)
    assert (response.status_code, AuditEntry.objects.count()) == (200, entries)
    assert actions.NOTHING_LEFT in response.content.decode()


def test_of_a_whole_list_only_what_was_shown_is_done(platform, root):
    where = ADDRESSES + "?q=10.1."
    whole = posted("pause_addresses", make_addresses(2), select_across="1")
    looked = root.post(where, whole).context
    assert looked["heading"] == "Pause delivery: 2 IP addresses"
    create_many([NewAddress(ipv4="10.1.0.200", hostname="h.example.com")], actor=SYSTEM)
    whole |= {"confirmed": "1", "reason": "Spam"}
    response = root.post(where, whole | {"looked_at": dict(looked["hidden"])["looked_at"]})
    assert response.context["heading"] == "Pause delivery: 3 IP addresses"
    assert actions.SHOWN_AGAIN in response.content.decode()
    assert not IPAddress.objects.filter(delivery_paused=True).exists()
    assert root.post(where, whole | {"looked_at": dict(response.context["hidden"])["looked_at"]}).status_code == 302
    assert IPAddress.objects.filter(delivery_paused=True).count() == 3


def test_what_one_record_refuses_does_not_stop_the_others(acme, platform, root):
    addresses = [*make_addresses(2), acme.address]
    response = root.post(ADDRESSES, posted("delete_addresses", addresses, confirmed="1"), follow=True)
    text = response.content.decode()
    assert "2 IP addresses deleted." in text
    assert "192.0.2.1: It is used by" in text
    assert IPAddress.objects.filter(pk__in=[each.pk for each in addresses]).get() == acme.address


def test_many_become_a_job_that_tells_how_far_it_is(platform, root, django_capture_on_commit_callbacks):
    addresses = make_addresses(actions.AT_ONCE + 1)
    with django_capture_on_commit_callbacks(execute=False):
        response = root.post(ADDRESSES, posted("pause_addresses", addresses, confirmed="1", reason="Blocklisted"))
    job = Job.objects.get(kind=running.KIND)
    assert response.headers["Location"] == reverse("admin:core_job_change", args=[job.pk])
    assert (job.label, job.progress_total, job.user_id) == (
        "Pause delivery: 51 IP addresses",
        51,
        platform.superuser.pk,
    )
    assert root.get(response.headers["Location"]).context["percent"] == 0
    run_bulk_acts()
    job.refresh_from_db()
    assert (job.state, job.progress_done, job.outcome["done"]) == ("done", 51, 51)
    assert IPAddress.objects.filter(delivery_paused=True).count() == 51
    audited = AuditEntry.objects.filter(act="ip_address.paused").values_list("actor_label", flat=True)
    assert set(audited) == {"root"}
    run_bulk_acts()
    assert AuditEntry.objects.filter(act="ip_address.paused").count() == 51


def test_a_person_has_a_few_jobs_at_a_time_of_a_bounded_number_of_records(acme, platform, monkeypatch):
    """Otherwise one person's jobs keep the workers from everything else for hours."""
    monkeypatch.setattr(actions, "AT_ONCE", 0)
    client, act = sign_in(acme.operator), posted("suspend_servers", [acme.server], confirmed="1", reason="Spam")
    for _ in range(actions.MOST_OPEN):
        assert "/job/" in client.post(SERVERS, act).headers["Location"]
    refused = client.post(SERVERS, act, follow=True).content.decode()
    assert "10 of your jobs have not ended yet. Try again when one has." in refused
    own = Job.objects.filter(user_id=acme.operator.pk)
    assert own.count() == actions.MOST_OPEN
    run_bulk_acts()
    assert not own.exclude(state="done").exists()
    assert "/job/" in client.post(SERVERS, act).headers["Location"]
    monkeypatch.setattr(actions, "MOST_RECORDS", 1)
    other = create_server(organization=acme.organization, name="Other", actor=SYSTEM).server
    many = client.post(SERVERS, posted("suspend_servers", [acme.server, other]), follow=True).content.decode()
    assert "At most 1 server can be chosen at once: filter the list." in many


def test_a_job_makes_way_for_others_when_its_turn_is_over(platform, monkeypatch):
    monkeypatch.setattr(running, "STEP", 1)
    monkeypatch.setattr(running, "TURN", datetime.timedelta(0))
    ids = [each.pk for each in make_addresses(3)]
    parameters = {"act": "pause_addresses", "ids": ids, "actor": ["system", None, "Sluice"], "values": WHY}
    own, others = (
        jobs.start(kind=running.KIND, label="x", parameters={**parameters, "ids": some}, total=len(some), user_id=pk)
        for some, pk in ((ids[:2], platform.superuser.pk), (ids[2:], platform.superuser.pk + 1_000))
    )
    run_bulk_acts()
    own.refresh_from_db()
    others.refresh_from_db()
    assert (own.state, own.attempt, own.outcome["done"]) == ("done", 2, 2)
    # Its person is gone, so its record was skipped; its turn was between the two.
    assert (others.state, others.finished_at < own.finished_at) == ("done", True)


def test_a_job_goes_on_where_a_worker_left_it(platform):
    addresses = make_addresses(70)
    ids = [each.pk for each in addresses]
    parameters = {"act": "pause_addresses", "ids": ids, "actor": ["system", None, "Sluice"], "values": WHY}
    user = platform.superuser.pk
    job = jobs.start(kind=running.KIND, label="x", parameters=parameters, total=70, user_id=user)
    cursor = {"done": 50, "refused": 1, "refusals": ["10.1.0.1: no"]}
    Job.objects.filter(pk=job.pk).update(cursor=cursor, progress_done=50)
    run_bulk_acts()
    job.refresh_from_db()
    assert job.outcome == {"done": 69, "refused": 1, "refusals": ["10.1.0.1: no"]}
    assert IPAddress.objects.filter(delivery_paused=True).count() == 20


def test_an_act_that_is_gone_fails_its_job(db):
    job = jobs.start(kind=running.KIND, label="x", parameters={"act": "nothing", "ids": [1]}, total=1)
    run_bulk_acts()
    job.refresh_from_db()
    assert (job.state, job.failure) == ("failed", "This version of Sluice does not know the act")


def test_tenants_act_on_theirs_alone(acme, globex, platform):
    other = create_server(organization=acme.organization, name="Other", actor=SYSTEM).server
    client = sign_in(acme.operator)
    servers = [acme.server, other, globex.server]
    client.post(SERVERS, posted("suspend_servers", servers, confirmed="1", reason="Spam"))
    for server in servers:
        server.refresh_from_db()
    assert [server.suspended_at is not None for server in servers] == [True, True, False]
    # Nor does naming only others' records do anything, or a role that reads.
    client.post(SERVERS, posted("suspend_servers", [globex.server], confirmed="1", reason="Spam"))
    sign_in(acme.analyst).post(SERVERS, posted("resume_servers", [other], confirmed="1"))
    globex.server.refresh_from_db()
    other.refresh_from_db()
    assert (globex.server.suspended_at, other.suspended_at is None) == (None, False)


def test_suspending_many_asks_why_and_until_when(acme, platform, time_machine):
    time_machine.move_to(NOW, tick=False)
    other = create_server(organization=acme.organization, name="Other", actor=SYSTEM).server
    acme.operator.time_zone = "Asia/Tokyo"
    acme.operator.save()
    client, servers = sign_in(acme.operator), [acme.server, other]
    look = client.post(SERVERS, posted("suspend_servers", servers))
    assert list(look.context["form"].fields) == ["reason", "until"]
    assert not look.context["form"].errors
    refused = client.post(SERVERS, posted("suspend_servers", servers, confirmed="1", reason=" ", until_0="2001-01-01"))
    assert set(refused.context["form"].errors) == {"reason", "until"}
    late = posted("suspend_servers", servers, confirmed="1", reason="Spam", until_0="2001-01-01", until_1="00:00")
    assert client.post(SERVERS, late).context["form"].errors == {"until": ["Must be in the future"]}
    acme.server.refresh_from_db()
    assert acme.server.suspended_at is None
    right = posted("suspend_servers", servers, confirmed="1", reason="Spam", until_0="2026-11-20", until_1="09:00")
    assert "2 servers suspended." in client.post(SERVERS, right, follow=True).content.decode()
    until = datetime.datetime(2026, 11, 20, 0, 0, tzinfo=datetime.UTC)
    for server in servers:
        server.refresh_from_db()
        assert (server.suspension_reason, server.suspended_at, server.suspended_until) == ("Spam", NOW, until)


def test_the_reason_goes_along_with_a_job(acme, platform, monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr(actions, "AT_ONCE", 0)
    data = posted("suspend_servers", [acme.server], confirmed="1", reason="Spam", until_0="2126-11-20", until_1="09:00")
    with django_capture_on_commit_callbacks(execute=False):
        assert sign_in(acme.operator).post(SERVERS, data).status_code == 302
    run_bulk_acts()
    acme.server.refresh_from_db()
    until = datetime.datetime(2126, 11, 20, 9, 0, tzinfo=datetime.UTC)
    assert (acme.server.suspension_reason, acme.server.suspended_until) == ("Spam", until)
    assert Job.objects.get(kind=running.KIND).state == "done"


def test_deleting_many_wants_the_permission_to_delete(platform):
    addresses = make_addresses(2)
    platform.staff.user_permissions.remove(*Permission.objects.filter(codename="delete_ipaddress"))
    sign_in(platform.staff).post(ADDRESSES, posted("delete_addresses", addresses, confirmed="1"))
    assert IPAddress.objects.filter(pk__in=[each.pk for each in addresses]).count() == 2


@pytest.mark.parametrize("name", sorted(registry.ACTS))
def test_every_act_does_its_work_by_the_act_of_one(name, acme, platform):
    found = registry.ACTS[name]
    record = {
        "ippools.IPAddress": platform.address,
        "servers.Server": acme.server,
        "servers.Credential": acme.credential,
    }[found.model]
    if name.startswith(("resume", "release")):
        opposite = {"resume_addresses": "pause_addresses", "resume_servers": "suspend_servers"}
        opposite_name = opposite.get(name, "hold_credentials")
        registry.apply(registry.ACTS[opposite_name], [record.pk], SYSTEM, VALUES.get(opposite_name))
    if name == "delete_addresses":
        [record] = make_addresses(1)
    audited = AuditEntry.objects.count()
    assert registry.apply(found, [record.pk], Actor.system(), VALUES.get(name)) == []
    assert AuditEntry.objects.count() == audited + 1
    # Delivered twice, it changes nothing more.
    assert registry.apply(found, [record.pk], Actor.system(), VALUES.get(name)) == []
    assert AuditEntry.objects.count() == audited + 1


def test_a_job_asks_at_every_step_what_its_starter_may_do(platform, monkeypatch):
    addresses = make_addresses(2 * running.STEP + 5)
    ids = sorted(each.pk for each in addresses)
    job = jobs.start(
        kind=running.KIND,
        label="x",
        user_id=platform.staff.pk,
        parameters={"act": "pause_addresses", "ids": ids, "actor": ["user", platform.staff.pk, "staff"], "values": WHY},
    )
    job = jobs.claim(job.pk, at=NOW)
    real = running.apply

    def apply_and_lose_the_right(found, batch, *rest, **more):
        refusals = real(found, batch, *rest)
        platform.staff.user_permissions.clear()
        return refusals

    monkeypatch.setattr(running, "apply", apply_and_lose_the_right)
    running.run(job, now=lambda: NOW)
    job.refresh_from_db()
    left = len(ids) - running.STEP
    assert IPAddress.objects.filter(delivery_paused=True).count() == running.STEP
    assert job.outcome == {
        "done": running.STEP,
        "refused": left,
        "refusals": [running.FORBIDDEN] * min(left, running.SHOWN_REFUSALS),
    }


def test_a_job_of_an_account_that_is_inactive_changes_nothing(platform):
    [address] = make_addresses(1)
    job = jobs.start(
        kind=running.KIND,
        label="x",
        user_id=platform.superuser.pk,
        parameters={"act": "pause_addresses", "ids": [address.pk], "actor": ["user", 1, "root"], "values": WHY},
    )
    type(platform.superuser).objects.filter(pk=platform.superuser.pk).update(is_active=False)
    running.run(jobs.claim(job.pk, at=NOW), now=lambda: NOW)
    assert not IPAddress.objects.filter(delivery_paused=True).exists()
    job.refresh_from_db()
    assert job.outcome["refusals"] == [running.FORBIDDEN]


@pytest.mark.parametrize("chosen", ["9" * 30, "\x00", "-1", "x", "²"])
@pytest.mark.parametrize(
    ("url", "action"), [(ADDRESSES, "pause_addresses"), (SERVERS, "suspend_servers"), (CREDENTIALS, "hold_credentials")]
)
def test_a_chosen_id_that_no_record_can_have_is_a_bad_request(url, action, chosen, acme, platform, root):
    response = root.post(url, {"action": action, ACTION_CHECKBOX_NAME: [str(acme.server.pk), chosen]})
    assert response.status_code == 400


def test_a_job_is_seen_by_who_belongs_to_its_organization_now_whoever_started_it(acme, globex, platform, monkeypatch):
    """Whoever had left still read the names of its servers in the refusals of jobs of then."""
    monkeypatch.setattr(actions, "AT_ONCE", 0)
    both = Membership.objects.create(user=acme.operator, organization=globex.organization, role="operator")
    client, act = sign_in(acme.operator), posted("suspend_servers", [acme.server, globex.server], confirmed="1", **WHY)
    response = client.post(SERVERS, {**act, "until": ""})
    assert response.headers["Location"] == JOBS
    own, of_globex = Job.objects.order_by("pk").filter(kind=running.KIND)
    assert [each.organization_id for each in (own, of_globex)] == [acme.organization.pk, globex.organization.pk]
    assert [each.parameters["ids"] for each in (own, of_globex)] == [[acme.server.pk], [globex.server.pk]]
    replay = jobs.start(kind="nodes.replay", label="Replay before r1", user_id=acme.operator.pk)

    def seen(person):
        found = sign_in(person).get(JOBS).context["cl"].result_list
        pages = [reverse("admin:core_job_change", args=[each.pk]) for each in (own, of_globex, replay)]
        assert [sign_in(person).get(page).status_code == 200 for page in pages] == [
            each in found for each in (own, of_globex, replay)
        ]
        return set(found)

    assert seen(acme.operator) == {own, of_globex}
    assert seen(acme.analyst) == {own}
    both.delete()
    assert seen(acme.operator) == {own}
    # What was started as one of the platform's staff is the platform's.
    assert seen(platform.superuser) >= {own, of_globex, replay}
