"""Demo data: whole, the same when it is loaded again, and consistent in every tier."""

import datetime
from collections import Counter
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command

from config.demo import cast, traffic
from config.demo.counts import DAYS, RAW_DAYS
from config.demo.platform import ACTOR
from core.models import AuditEntry, User
from ippools import identity, ip_addresses
from ippools.addresses import NewAddress, create_many
from ippools.models import AddressCap, AddressDrain, AddressIdentity, IPAddress, IPPool, WarmUp
from nodes import preview
from nodes.models import Node, Revision
from nodes.progress import progress_of
from servers.due_domains import recheck_domains_of_changed_pools
from servers.models import Domain, Membership, Organization, Server
from servers.pools import add_members
from stats.counts import audit, buckets
from stats.counts.buckets import Grain
from stats.counts.nightly import audit_counts
from stats.ledger import storage
from stats.models import AddressCount, Day, Event, Provider, ServerCount
from stats.reports import reputation
from stats.warm_up import sent_by_day
from suppressions.models import Suppression
from throttling.models import ThrottlingTemplate

NOW = datetime.datetime(2026, 3, 11, 15, 30, tzinfo=datetime.UTC)


@pytest.fixture
def small(monkeypatch):
    """A hundredth of the mail: what is held must hold for any volume."""
    monkeypatch.setattr(traffic, "SCALE", 0.005)


def load(settings, at=NOW):
    """Load it, and return what the command printed."""
    settings.IS_PRODUCTION, said = False, StringIO()
    with time_machine.travel(at, tick=False):
        call_command("load_demo", stdout=said)
    return said.getvalue()


def mails_in(folder):
    return [part for path in folder.iterdir() for part in path.read_text().split("-" * 79) if part.strip()]


def expect_mails(folder):
    """An alert arrives when an address goes bad and when it is well again."""
    mails = mails_in(folder)
    of_olivia = sorted(
        (mail for mail in mails if "To: olivia@sluice.example" in mail), key=lambda mail: "Ended" in mail
    )
    assert len(mails) == 4
    bad, well = of_olivia
    assert "Alert: Address 198.51.100.24 fails its DNS checks\nPTR missing\nSince 2026-03-11 14:50 UTC\n" in bad
    assert "Subject: Ended: Address 198.51.100.24 fails its DNS checks" in well
    assert "Since 2026-03-11 14:50 UTC, until 2026-03-11 15:24 UTC" in well
    assert AddressIdentity.objects.get(ip_address__ipv4="198.51.100.24").ptr_status == "ok"


def expect_nodes():
    """Two nodes, of which one has applied what was published, and revisions that differ by a rule."""
    states = [progress_of(each, each.report, at=NOW + datetime.timedelta(days=30)) for each in Node.objects.all()]
    assert [(each.state, each.applied, each.wanted, each.drift) for each in states] == [
        ("applied", 2, 2, ()),
        ("failing", 1, 2, ("front/main.cf",)),
    ]
    newest = Revision.objects.first()
    assert (newest.number, newest.actor_label, newest.changes["count"]) == (2, "petra", 1)
    changed = preview.changes_of(newest).nodes
    assert [each.node for each in changed] == ["mta-eu-1", "mta-us-1"]
    assert all("orange.fr" in str(each.sentences) for each in changed)


def sum_of(model, **key):
    return sum(model.objects.filter(**key).values_list("sent", flat=True))


@pytest.mark.storage
@pytest.mark.django_db(transaction=True)
@pytest.mark.live
def test_it_makes_a_living_platform_and_running_it_again_changes_nothing(small, settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    said = load(settings)
    assert f"4 e-mails of alerts are in {tmp_path}: 198.51.100.24 went bad and recovered." in said
    expect_mails(tmp_path)
    numbers = [
        model.objects.count()
        for model in (Organization, Server, IPAddress, IPPool, Domain, Event, ServerCount, AuditEntry, Suppression)
    ]
    assert numbers[:4] == [3, 12, 40, 8]
    assert Membership.objects.count() == 6
    for domain in Domain.objects.all():
        found = {check: answer["answer"] for check, answer in domain.dns_answers.items()}
        assert {check for check, answer in found.items() if not answer} == {
            check for check in found if getattr(domain, f"{check}_status") == "missing"
        }
        assert {"verification", "spf", "dkim", "mx", "return_path"} <= set(found)
    assert Counter(Suppression.objects.values_list("reason", flat=True)) == {
        "hard_bounce": 5,
        "complaint": 3,
        "manual": 2,
    }
    [warm_up] = WarmUp.objects.all()
    assert [(day.number, day.reason.split(":")[0]) for day in warm_up.days.order_by("-on")][:5:4] == [
        (9, "day 9"),
        (5, "day 5 repeated"),
    ]
    # Its reasons are those of its counts: the chart, the caps and the sentences tell one story.
    repeated = warm_up.days.get(reason__startswith="day 5 repeated")
    assert repeated.reason == "day 5 repeated: GMX and WEB.DE deferred 32 % yesterday"
    sent = sent_by_day(warm_up.address_id, warm_up.begins_on, NOW.date())
    assert len(sent) == 10
    for day in warm_up.days.all():
        assert 0 < sent[day.on] <= day.cap
    # At a hundredth of the mail, Gmail has answered too few attempts to be a second trouble.
    [drain] = AddressDrain.objects.all()
    assert (drain.address.ipv4, drain.effect, drain.kinds) == (cast.TROUBLED_ADDRESS, "drained", ["identity"])
    assert "Its DNS identity is broken since 10 March 15:30 UTC: PTR missing, FCrDNS missing" in drain.reason
    assert drain.reason.endswith("1 of 8 sending addresses of pool Newsletters is drained, at most 2 may be (30 %)")
    [back_off] = AddressCap.objects.active(NOW).filter(kind="throttle_program")
    assert (back_off.address.ipv4, back_off.max_messages_per_hour) == (cast.BACKING_OFF_ADDRESS, 1_500)
    assert back_off.reason.startswith("50 of 59 attempts were deferred (85 %; Automatic Backoff begins at 50 %)")
    expect_nodes()
    assert {user.has_usable_password() for user in User.objects.all()} == {False}
    assert ThrottlingTemplate.objects.count() == 1 + len(cast.TEMPLATES)
    load(settings)
    assert numbers == [
        model.objects.count()
        for model in (Organization, Server, IPAddress, IPPool, Domain, Event, ServerCount, AuditEntry, Suppression)
    ]
    expect_mails(tmp_path)

    # No sweep asks real DNS about the demo's invented names, whatever becomes of their pools and addresses.
    pool = IPPool.objects.get(name="Newsletters")
    [added] = create_many([NewAddress(ipv4="198.51.100.99", hostname="m.example")], actor=ACTOR, organization_id=None)
    add_members(pool=pool, addresses=[added], actor=ACTOR, organization_id=None)
    ip_addresses.change(pool.members.first().ip_address_id, hostname="other.example", actor=ACTOR)
    recheck_domains_of_changed_pools(at=NOW)
    identity.recheck_changed(at=NOW)
    assert not Domain.objects.due(NOW).exists()
    assert not AddressIdentity.objects.due(NOW).exists()

    # A day later it goes on where it was.
    load(settings, NOW + datetime.timedelta(days=1))
    today = buckets.day_of(NOW)
    assert Day.objects.count() == DAYS + 1
    assert list(Day.objects.filter(dropped_at=None).values_list("day", flat=True)) == [today - 1, today, today + 1]
    with time_machine.travel(NOW + datetime.timedelta(days=1), tick=False):
        found = audit_counts(now=NOW + datetime.timedelta(days=1))
    assert (found.is_clean, len(found.days)) == (True, RAW_DAYS + 1)
    all_days = list(Day.objects.values_list("day", flat=True))
    for _, _, select in audit._coarse_selects(all_days):
        assert storage.fetch(select) == []

    days = {day: sum_of(ServerCount, grain=Grain.DAY, bucket=day) for day in all_days}
    assert sum(days.values()) == sum_of(ServerCount, grain=Grain.TOTAL) == sum_of(AddressCount, grain=Grain.TOTAL)
    assert days[today - 7] == sum_of(AddressCount, grain=Grain.DAY, bucket=today - 7)
    hours = range((today - 7) * 24, (today - 6) * 24)
    assert days[today - 7] == sum_of(ServerCount, grain=Grain.HOUR, bucket__in=hours)

    troubled = IPAddress.objects.get(ipv4=cast.TROUBLED_ADDRESS).pk
    gmail = Provider.objects.get(name="Gmail").pk
    cells = reputation.by_address_and_provider([troubled], today - 3, today)[troubled]
    assert reputation.accepted_share(cells[gmail]) < 0.5


def test_it_is_not_loaded_into_production_unless_that_is_said(settings, db):
    settings.IS_PRODUCTION = True
    with pytest.raises(CommandError, match="--in-production"):
        call_command("load_demo")
    assert not Organization.objects.exists()


@pytest.mark.parametrize(("total", "weights"), [(0, [1, 2]), (7, [1, 1, 1]), (100, [0.3, 0.3, 0.4]), (5, [0, 1])])
def test_parts_add_up(total, weights):
    parts = traffic.apportion(total, weights)
    assert sum(parts) == total
    assert all(abs(part - total * weight / sum(weights)) < 1 for part, weight in zip(parts, weights, strict=True))
