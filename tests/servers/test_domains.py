"""The acts on domains."""

import re
from base64 import b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.encryption import decrypt
from core.errors import Invalid, NotFound
from core.models import AuditEntry
from servers.dns_records import DNSRecord, expected_of, records_of
from servers.domains import (
    change_domain,
    create_domain,
    delete_domain,
    find_domain,
    verification_string,
    verify_domain,
)
from servers.models import Domain, DomainKey, Organization, Server
from servers.provisioning import create_server, delete_server
from tests.dns_server import SERVFAIL, LocalDNS
from tests.servers.conftest import SYSTEM, statuses, zone_of

pytestmark = [pytest.mark.server, pytest.mark.storage]

ALL_OK = dict.fromkeys(("verification", "spf", "dkim", "return_path", "mx", "dmarc"), "ok")


def acts(domain: Domain) -> list[str]:
    entries = AuditEntry.objects.filter(target_type="servers.domain", target_id=str(domain.pk)).order_by("pk")
    return list(entries.values_list("act", flat=True))


def published_for(domain: Domain) -> tuple[str, str, str]:
    return domain.verification_token, domain.dkim_identifier, domain.dkim_public_key


def test_it_works(server: Server) -> None:
    created = create_domain(at=timezone.now(), server=server, name="Example.COM.", actor=SYSTEM)
    domain = created.domain

    assert not created.already_exists
    assert (domain.name, domain.is_verified, domain.dns_next_check_at) == ("example.com", False, None)
    assert statuses(domain) == dict.fromkeys(ALL_OK)
    assert re.fullmatch("[0-9a-f]{32}", domain.verification_token)
    assert re.fullmatch("[a-z0-9]{6}", domain.dkim_identifier)
    private = load_pem_private_key(decrypt(domain.dkim_private_key).encode(), None)
    assert private.key_size == 2048
    assert load_der_public_key(b64decode(domain.dkim_public_key)) == private.public_key()
    assert records_of(expected_of(domain)) == [
        DNSRecord("verification", "TXT", "example.com", "@", f"postal-verify {domain.verification_token}"),
        DNSRecord("spf", "TXT", "example.com", "@", "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 ip4:198.51.100.7 ~all"),
        DNSRecord(
            "dkim",
            "TXT",
            f"postal-{domain.dkim_identifier}._domainkey.example.com",
            f"postal-{domain.dkim_identifier}._domainkey",
            f"v=DKIM1; t=s; h=sha256; p={domain.dkim_public_key}",
        ),
        DNSRecord("return_path", "CNAME", "rp.example.com", "rp", "rp.postal"),
        DNSRecord("mx", "MX", "example.com", "@", "mx.postal", 10),
        DNSRecord("dmarc", "TXT", "_dmarc.example.com", "_dmarc", "v=DMARC1; p=none"),
    ]
    entry = AuditEntry.objects.get(act="domain.created")
    assert entry.organization_id == server.organization_id
    assert entry.after == {
        "id": domain.pk,
        "uuid": str(domain.uuid),
        "server_id": server.pk,
        "name": "example.com",
        "verification_token": domain.verification_token,
        "verified_at": None,
        "dkim_identifier": domain.dkim_identifier,
        "dkim_public_key": domain.dkim_public_key,
        "outgoing": True,
        "incoming": True,
        "custom_mx_records": [],
        "dmarc_record": "",
        "created_at": domain.created_at.isoformat(),
    }


def test_an_existing_domain_is_returned_as_it_is(domain: Domain, server: Server) -> None:
    again = create_domain(
        at=timezone.now(), server=server, name="EXAMPLE.com", dmarc_record="v=DMARC1; p=reject", actor=SYSTEM
    )

    assert (again.already_exists, again.domain.pk, again.domain.dmarc_record) == (True, domain.pk, "")
    assert acts(domain) == ["domain.created"]


def test_two_servers_may_have_the_same_domain_and_share_its_proof(domain: Domain, acme: Organization) -> None:
    second = create_server(organization=acme, name="Second", actor=SYSTEM).server
    twin = create_domain(at=timezone.now(), server=second, name="example.com", actor=SYSTEM).domain

    assert twin.pk != domain.pk
    assert published_for(twin) == published_for(domain)


def test_two_organizations_share_nothing(domain: Domain, globex_server: Server) -> None:
    other = create_domain(at=timezone.now(), server=globex_server, name="example.com", actor=SYSTEM).domain
    assert not set(published_for(other)) & set(published_for(domain))


def test_the_database_refuses_a_second_row(domain: Domain) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Domain.objects.create(server=domain.server, name="example.com")


@pytest.mark.parametrize("column", ["verification_status", "spf_status", "dmarc_status"])
def test_the_database_refuses_an_unknown_status(domain: Domain, column: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Domain.objects.filter(pk=domain.pk).update(**{column: "fine"})


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.Example", "xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        (" example.com ", "example.com"),
        ("a-b.co.uk.", "a-b.co.uk"),
    ],
)
def test_names_are_stored_as_a_labels(server: Server, name: str, stored: str) -> None:
    assert create_domain(at=timezone.now(), server=server, name=name, actor=SYSTEM).domain.name == stored
    assert find_domain(server, name).name == stored


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "name is required"),
        ("  ", "name is required"),
        ("example", "name is not a domain name"),
        ("exa mple.com", "name is not a domain name"),
        ("192.0.2.1", "name is not a domain name"),
        ("-a.com", "name is not a domain name"),
        ("a..com", "name is not a domain name"),
        ("*.example.com", "name is not a domain name"),
        ("user@example.com", "name is not a domain name"),
        ("a" * 64 + ".com", "name is not a domain name"),
        ("\x00.com", "name is not a domain name"),
        ("\ud800.com", "name is not a domain name"),
        ("x." * 5000 + "com", "name is not a domain name"),
        ("x." * 115 + "com", "name is too long (maximum is 220 characters)"),
    ],
)
def test_it_rejects_what_is_no_domain_name(server: Server, name: str, message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        create_domain(at=timezone.now(), server=server, name=name, actor=SYSTEM)
    assert refusal.value.message == message
    with pytest.raises(NotFound):
        find_domain(server, name)


def test_the_longest_name_still_has_room_for_its_dkim_record(server: Server) -> None:
    name = ".".join(["a" * 54] * 4)
    domain = create_domain(at=timezone.now(), server=server, name=name, actor=SYSTEM).domain
    assert len(expected_of(domain).dkim_name) <= 253


def test_it_rejects_bad_records_all_at_once(server: Server) -> None:
    with pytest.raises(Invalid) as refusal:
        create_domain(
            at=timezone.now(),
            server=server,
            name="example.com",
            custom_mx_records=["mx.example.com", "no host", 7],
            dmarc_record="v=DMARC1; p=maybe",
            actor=SYSTEM,
        )
    assert refusal.value.message == (
        "custom_mx_records[1] is not a host name; custom_mx_records[2] is not a host name; "
        "dmarc_record is not a DMARC record: “p=maybe” is not none, quarantine or reject"
    )
    assert not Domain.objects.exists()


def test_it_rejects_too_many_hosts_and_unprintable_records(server: Server) -> None:
    with pytest.raises(Invalid) as refusal:
        create_domain(
            at=timezone.now(),
            server=server,
            name="example.com",
            custom_mx_records=["mx.example.com"] * 21,
            dmarc_record="v=DMARC1;\np=none",
            actor=SYSTEM,
        )
    assert refusal.value.message == (
        "custom_mx_records has too many hosts (maximum is 20); dmarc_record is not a DMARC record: "
        "it is not printable ASCII of at most 1000 characters"
    )


def test_own_mail_hosts_and_policy_are_what_is_published(server: Server) -> None:
    domain = create_domain(
        at=timezone.now(),
        server=server,
        name="example.com",
        custom_mx_records=["MX1.example.net.", "mx2.example.net", "mx1.example.net"],
        dmarc_record=" v=DMARC1; p=reject ",
        actor=SYSTEM,
    ).domain
    published = [(each.type, each.value) for each in records_of(expected_of(domain)) if each.purpose in ("mx", "dmarc")]
    assert published == [("MX", "mx1.example.net"), ("MX", "mx2.example.net"), ("TXT", "v=DMARC1; p=reject")]


def test_a_deleted_server_gets_no_domain(server: Server) -> None:
    delete_server(server=server, at=server.created_at, actor=SYSTEM)
    with pytest.raises(NotFound):
        create_domain(at=timezone.now(), server=server, name="example.com", actor=SYSTEM)


def test_change(domain: Domain) -> None:
    Domain.objects.filter(pk=domain.pk).update(dns_next_check_at=domain.created_at, spf_status="ok")
    changed = change_domain(domain=domain, dmarc_record="v=DMARC1; p=reject", incoming=False, actor=SYSTEM)

    assert (changed.dmarc_record, changed.incoming, changed.outgoing) == ("v=DMARC1; p=reject", False, True)
    domain.refresh_from_db()
    # It is checked again at once, and what a check wrote meanwhile is not undone.
    assert (domain.dns_next_check_at, domain.spf_status) == (None, "ok")
    assert acts(domain) == ["domain.created", "domain.changed"]


def test_delete(domain: Domain, server: Server) -> None:
    gone = delete_domain(domain=domain, at=timezone.now(), actor=SYSTEM)

    assert (gone.pk, gone.name) == (domain.pk, "example.com")
    assert not Domain.objects.exists()
    assert acts(domain) == ["domain.created", "domain.deleted"]
    with pytest.raises(NotFound):
        delete_domain(domain=domain, at=timezone.now(), actor=SYSTEM)


def test_a_domain_that_comes_back_needs_no_record_anew(domain: Domain, server: Server, settings: Any) -> None:
    """Token, selector and key are kept, whatever SECRET_KEY the token was made by."""
    delete_domain(domain=domain, at=timezone.now(), actor=SYSTEM)
    settings.SECRET_KEY = "another"
    back = create_domain(at=timezone.now(), server=server, name="example.com", actor=SYSTEM).domain

    assert published_for(back) == published_for(domain)
    assert decrypt(back.dkim_private_key) == decrypt(domain.dkim_private_key)


def test_a_domain_from_before_keys_were_kept_comes_back_too(domain: Domain, server: Server) -> None:
    DomainKey.objects.all().delete()
    delete_domain(domain=domain, at=timezone.now(), actor=SYSTEM)
    assert published_for(
        create_domain(at=timezone.now(), server=server, name="example.com", actor=SYSTEM).domain
    ) == published_for(domain)


def test_the_first_of_two_keys_is_kept(domain: Domain, server: Server) -> None:
    kept = DomainKey.objects.get()
    Domain.objects.filter(pk=domain.pk).update(dkim_identifier="other")
    delete_domain(domain=domain, at=timezone.now(), actor=SYSTEM)
    assert (
        create_domain(at=timezone.now(), server=server, name="example.com", actor=SYSTEM).domain.dkim_identifier
        == kept.dkim_identifier
    )


# --- Verification ----------------------------------------------------------------------------------------------------


def test_what_is_exported_verifies(dns: LocalDNS, domain: Domain) -> None:
    dns.load(zone_of(domain))
    verified = verify_domain(domain=domain, actor=SYSTEM)

    assert statuses(verified) == ALL_OK
    assert verified.verified_at == verified.dns_checked_at
    assert verified.dns_next_check_at > verified.dns_checked_at
    assert acts(domain) == ["domain.created", "domain.verified"]
    assert verified.dns_answers["return_path"] == {
        "answer": "rp.example.com. 3600 IN CNAME rp.postal.",
        "at": verified.dns_checked_at.isoformat(),
    }


@pytest.mark.parametrize(
    ("check", "name", "rdtype"),
    [
        ("spf", "example.com", "TXT"),
        ("dkim", "postal-{ident}._domainkey.example.com", "TXT"),
        ("return_path", "rp.example.com", "CNAME"),
        ("mx", "example.com", "MX"),
        ("dmarc", "_dmarc.example.com", "TXT"),
    ],
)
def test_one_broken_record_is_named(dns: LocalDNS, domain: Domain, check: str, name: str, rdtype: str) -> None:
    dns.load(zone_of(domain))
    dns.remove(name.format(ident=domain.dkim_identifier), rdtype)
    if check == "spf":
        dns.load(f'example.com. 60 IN TXT "{verification_string(domain)}"')
    verified = verify_domain(domain=domain, actor=SYSTEM)

    assert statuses(verified) == ALL_OK | {check: "missing"}
    assert verified.is_verified
    assert getattr(verified, f"{check}_error")


def test_a_proof_that_is_gone_proves_no_longer(dns: LocalDNS, domain: Domain) -> None:
    dns.load(zone_of(domain))
    assert verify_domain(domain=domain, actor=SYSTEM).is_verified
    dns.remove("example.com", "TXT")
    after = verify_domain(domain=domain, actor=SYSTEM)

    assert (after.is_verified, after.verification_status) == (False, "missing")
    assert acts(domain) == ["domain.created", "domain.verified", "domain.unverified"]


def test_a_failing_resolver_keeps_what_was_known(dns: LocalDNS, domain: Domain) -> None:
    dns.load(zone_of(domain))
    good = verify_domain(domain=domain, actor=SYSTEM)
    for name in ("example.com", f"postal-{domain.dkim_identifier}._domainkey.example.com"):
        dns.fault(name, SERVFAIL)
    after = verify_domain(domain=domain, actor=SYSTEM)

    assert statuses(after) == ALL_OK
    assert after.verified_at == good.verified_at
    assert after.dns_checked_at > good.dns_checked_at
    assert after.dkim_error.startswith("DNS could not be queried (postal-")
    assert after.dkim_error.endswith("). The last known status is shown.")
    assert after.unanswered() == {"verification", "spf", "dkim", "mx"}
    assert after.return_path_error == ""
    # The answer that the status rests on stays, beside the failure and its time.
    assert after.dns_answers["dkim"]["answer"] == good.dns_answers["dkim"]["answer"]
    assert after.dns_answers["dkim"]["at"] == good.dns_checked_at.isoformat()
    assert after.dns_answers["dkim"]["failed_at"] == after.dns_checked_at.isoformat()
    assert after.dns_failures == 1
    dns.heal()
    healed = verify_domain(domain=domain, actor=SYSTEM)
    assert (healed.dkim_error, healed.dns_failures, healed.unanswered()) == ("", 0, set())
    assert set(healed.dns_answers["dkim"]) == {"answer", "at"}


def test_a_failing_resolver_verifies_nobody(dns: LocalDNS, domain: Domain) -> None:
    dns.fault("example.com", SERVFAIL)
    assert domain.unanswered() == set()
    # Also not a second time: nothing was known before.
    for _ in range(2):
        after = verify_domain(domain=domain, actor=SYSTEM)
        assert (after.is_verified, after.verification_status) == (False, None)
        assert after.verification_error.endswith(").")
        assert after.unanswered() == {"verification", "spf", "mx"}
