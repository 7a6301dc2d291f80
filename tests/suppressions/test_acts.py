"""People and programs suppress addresses and remove suppressions, each in their own organization."""

import base64
import hmac

import pytest

from core.encryption import decrypt
from core.errors import Invalid, NotFound, QuotaExceeded
from core.models import AuditEntry
from servers.provisioning import delete_server
from suppressions import acts, rules
from suppressions.lists import Written
from suppressions.models import PlatformKey, Suppression, SuppressionList
from tests.cast import ANN, SYSTEM, Tenant
from tests.suppressions.conftest import DAY, NOW, check, remove, rows, suppress, suppressed

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


def test_it_works(acme: Tenant) -> None:
    assert suppress(acme, "Roger@Gmail.com", "roger@gmail.com", "ann@x.example", actor=ANN) == Written(2, 0)
    assert rows() == [
        (acme.server.name, "r…r@gmail.com", "manual", "", None, None),
        (acme.server.name, "a…n@x.example", "manual", "", None, None),
    ]
    assert suppressed(acme, "ROGER@gmail.com", "<ann@X.example>", "rob@gmail.com", "nonsense") == [
        True,
        True,
        False,
        False,
    ]
    entry = AuditEntry.objects.get(act="suppression.added")
    named = {
        "addresses": ["r…r@gmail.com", "a…n@x.example"],
        "count": 2,
        "server_id": acme.server.pk,
        "reason": "manual",
    }
    assert (entry.before, entry.after, entry.organization_id) == (None, named, acme.organization.pk)
    assert (entry.actor_label, entry.target_type) == (ANN.label, "suppressions.suppressionlist")


def test_the_digest_is_an_hmac_under_a_key_that_the_platforms_key_gives_the_organization(acme: Tenant) -> None:
    suppress(acme, "Roger@gmail.com")
    secret = base64.b64decode(decrypt(PlatformKey.objects.get().secret))
    key = hmac.digest(secret, b"organization:" + acme.organization.uuid.bytes, "sha256")
    assert Suppression.objects.get().digest == hmac.new(key, b"roger@gmail.com", "sha256").hexdigest()


def test_the_address_itself_is_nowhere_unless_the_organization_keeps_it(acme: Tenant, globex: Tenant) -> None:
    rules.change_rules(organization=globex.organization, keeps_addresses=True, actor=SYSTEM)
    suppress(acme, "roger@gmail.com")
    suppress(globex, "roger@gmail.com")
    ours, theirs = Suppression.objects.order_by("pk")
    assert (ours.address, decrypt(theirs.address)) == ("", "roger@gmail.com")
    assert ours.digest != theirs.digest
    assert "roger" not in str([*AuditEntry.objects.values()])
    rules.change_rules(organization=globex.organization, keeps_addresses=False, actor=SYSTEM)
    assert Suppression.objects.exclude(address="").count() == 0


def test_tenants_are_apart(acme: Tenant, globex: Tenant) -> None:
    suppress(acme, "roger@gmail.com")
    suppress(globex, "ann@gmail.com")
    both = "roger@gmail.com", "ann@gmail.com"
    assert (suppressed(acme, *both), suppressed(globex, *both)) == ([True, False], [False, True])
    assert remove(globex, "roger@gmail.com") == 0
    assert suppressed(acme, *both) == [True, False]
    for act in (suppress, remove):
        with pytest.raises(NotFound):
            act(acme, "x@gmail.com", server=globex.server)


def test_an_entry_of_the_organization_holds_for_all_of_its_servers(acme: Tenant, globex: Tenant) -> None:
    suppress(acme, "roger@gmail.com", server=None)
    assert suppressed(acme, "roger@gmail.com") == [True]
    assert suppressed(globex, "roger@gmail.com") == [False]
    suppress(acme, "roger@gmail.com")
    [found] = check(acme, "roger@gmail.com")
    assert found is not None
    assert found.server_id == acme.server.pk
    assert remove(acme, "roger@gmail.com") == 1
    assert suppressed(acme, "roger@gmail.com") == [True]
    assert remove(acme, "roger@gmail.com", server=None) == 1
    assert suppressed(acme, "roger@gmail.com") == [False]


def test_what_is_suppressed_stays_and_the_later_end_counts(acme: Tenant) -> None:
    assert suppress(acme, "roger@gmail.com", reason="api", expires_at=NOW + DAY) == Written(1, 0)
    assert suppress(acme, "roger@gmail.com", expires_at=NOW + 3 * DAY) == Written(0, 1)
    assert suppress(acme, "roger@gmail.com", expires_at=NOW + 2 * DAY) == Written(0, 1)
    assert rows() == [(acme.server.name, "r…r@gmail.com", "api", "", NOW + 3 * DAY, None)]
    assert suppressed(acme, "roger@gmail.com", at=NOW + 2 * DAY) == [True]
    assert suppressed(acme, "roger@gmail.com", at=NOW + 3 * DAY) == [False]
    assert suppress(acme, "roger@gmail.com") == Written(0, 1)
    assert suppressed(acme, "roger@gmail.com", at=NOW + 3_000 * DAY) == [True]


def test_what_has_expired_or_was_removed_is_suppressed_anew(acme: Tenant) -> None:
    suppress(acme, "roger@gmail.com", reason="api", expires_at=NOW + DAY)
    assert suppress(acme, "roger@gmail.com", at=NOW + 2 * DAY) == Written(1, 0)
    assert rows() == [(acme.server.name, "r…r@gmail.com", "manual", "", None, None)]
    assert remove(acme, "roger@gmail.com", at=NOW + 3 * DAY) == 1
    assert remove(acme, "roger@gmail.com", at=NOW + 3 * DAY) == 0
    assert suppressed(acme, "roger@gmail.com", at=NOW + 3 * DAY) == [False]
    assert suppress(acme, "roger@gmail.com", reason="import", at=NOW + 4 * DAY) == Written(1, 0)
    assert rows() == [(acme.server.name, "r…r@gmail.com", "import", "", None, None)]


def test_an_entry_is_removed_without_its_address(acme: Tenant) -> None:
    rules.change_rules(organization=acme.organization, keeps_addresses=True, actor=SYSTEM)
    suppress(acme, "roger@gmail.com")
    row = Suppression.objects.get()
    acts.remove_one(suppression=row, at=NOW, actor=ANN)
    assert suppressed(acme, "roger@gmail.com") == [False]
    row.refresh_from_db()
    assert (row.address, row.removed_at) == ("", NOW)
    with pytest.raises(NotFound):
        acts.remove_one(suppression=row, at=NOW, actor=ANN)
    entry = AuditEntry.objects.get(act="suppression.removed")
    assert entry.before == {"addresses": ["r…r@gmail.com"], "count": 1, "server_id": acme.server.pk}


def test_it_rejects_what_is_not_an_address_and_writes_nothing(acme: Tenant) -> None:
    with pytest.raises(Invalid) as refusal:
        suppress(acme, "roger@gmail.com", "nobody", "ann@gmail.com", "x@")
    assert [str(each) for each in refusal.value.faults] == [
        "addresses[1] must be an e-mail address",
        "addresses[3] must be an e-mail address",
    ]
    assert (Suppression.objects.count(), AuditEntry.objects.filter(act__startswith="suppression.").count()) == (0, 0)


def test_it_rejects_more_than_a_thousand_and_an_end_that_is_over(acme: Tenant) -> None:
    many = [f"user{each}@gmail.com" for each in range(1_001)]
    assert suppress(acme, *many[:1_000]) == Written(1_000, 0)
    for act in (suppress, remove):
        with pytest.raises(Invalid, match="must be at most 1,000"):
            act(acme, *many)
    with pytest.raises(Invalid, match="must be in the future"):
        suppress(acme, "roger@gmail.com", expires_at=NOW)


def test_it_rejects_a_deleted_server(acme: Tenant) -> None:
    delete_server(server=acme.server, at=NOW, actor=SYSTEM)
    with pytest.raises(NotFound):
        suppress(acme, "roger@gmail.com")


def test_the_quota_counts_what_is_kept(acme: Tenant, globex: Tenant, settings) -> None:
    settings.SLUICE_MAX_SUPPRESSIONS = 2
    suppress(acme, "one@gmail.com")
    with pytest.raises(QuotaExceeded):
        suppress(acme, "two@gmail.com", "three@gmail.com")
    assert suppressed(acme, "one@gmail.com", "two@gmail.com") == [True, False]
    suppress(acme, "two@gmail.com")
    suppress(acme, "one@gmail.com", "two@gmail.com")
    suppress(globex, "one@gmail.com", "two@gmail.com")
    assert SuppressionList.objects.get(organization=acme.organization).size == 2


def test_each_change_has_the_next_number(acme: Tenant, globex: Tenant) -> None:
    def state() -> tuple[int, list[int]]:
        of = SuppressionList.objects.get(organization=acme.organization)
        return of.number, list(
            Suppression.objects.filter(organization=acme.organization).values_list("number", flat=True)
        )

    suppress(acme, "one@gmail.com", "two@gmail.com")
    suppress(globex, "one@gmail.com")
    assert state() == (2, [2, 1])
    remove(acme, "one@gmail.com")
    assert state() == (3, [2, 3])
    suppress(acme, "two@gmail.com")
    assert state() == (3, [2, 3])
    suppress(acme, "one@gmail.com", "three@gmail.com")
    assert state() == (5, [5, 2, 4])
    rules.change_rules(organization=acme.organization, at_submission="drop", actor=SYSTEM)
    assert state() == (6, [5, 2, 4])


def test_rules_are_checked(acme: Tenant) -> None:
    with pytest.raises(Invalid) as refusal:
        rules.change_rules(
            organization=acme.organization,
            bounce_threshold=0,
            valid_days=4_000,
            scope="x",
            at_submission="y",
            actor=SYSTEM,
        )
    assert [str(each) for each in refusal.value.faults] == [
        "bounce_threshold must be from 1 to 100",
        "valid_days must be from 1 to 3650, or empty",
        "scope must be server or organization",
        "at_submission must be refuse or drop",
    ]
    rules.change_rules(organization=acme.organization, bounce_threshold=3, actor=ANN)
    entry = AuditEntry.objects.get(act="suppression_list.changed")
    assert (entry.before["bounce_threshold"], entry.after["bounce_threshold"]) == (1, 3)
