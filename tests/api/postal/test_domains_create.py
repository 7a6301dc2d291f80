"""POST /api/v1/domains/create"""

import pytest

from core.encryption import decrypt
from core.models import AuditEntry
from servers.models import Domain
from tests.api.postal.conftest import NOW, error, golden_family, make_pool, make_server, parameter_error

pytestmark = pytest.mark.django_db
PATH = "domains/create"


@pytest.mark.storage
def test_it_works(call, acme):
    pool = make_pool(acme.organization, "Main Pool", "192.0.2.10", "192.0.2.11")
    acme.server.ip_pool = pool
    acme.server.save()
    answer = call(PATH, {"name": "example.com"}, key=acme.key)

    domain = Domain.objects.get()
    expected = golden_family("domains-create")
    token, ident = domain.verification_token, domain.dkim_identifier
    expected["data"]["domain"] |= {
        "uuid": str(domain.uuid),
        "verification_token": token,
        "dns_verification_string": f"postal-verify {token}",
    }
    verification, _, dkim, *_ = expected["data"]["dns_records"]
    verification["value"] = f"postal-verify {token}"
    dkim |= {
        "name": f"postal-{ident}._domainkey.example.com",
        "short_name": f"postal-{ident}._domainkey",
        "value": f"v=DKIM1; t=s; h=sha256; p={domain.dkim_public_key}",
    }
    assert answer == expected
    assert len(token) >= 24
    # 2048 bits: the public key's DER is 294 bytes.
    assert len(domain.dkim_public_key) == 392
    assert "PRIVATE KEY" in decrypt(domain.dkim_private_key)
    # Only DNS can prove it.
    assert domain.verified_at is None
    entry = AuditEntry.objects.get(act="domain.created")
    assert (entry.actor_kind, entry.organization_id) == ("credential", acme.organization.pk)
    assert "PRIVATE" not in str(entry.after)


def test_one_that_is_there_is_answered_as_it_is(call, acme):
    first = call(PATH, {"name": "example.com"}, key=acme.key)
    again = {"name": "EXAMPLE.com.", "dmarc_record": "nonsense", "custom_mx_records": ["other.example"]}
    assert call(PATH, again, key=acme.key) == first
    assert Domain.objects.count() == 1


def test_each_server_has_its_own(call, acme):
    other = make_server(acme.organization, "Other")
    first, second = (call(PATH, {"name": "example.com"}, key=each.key)["data"]["domain"] for each in (acme, other))
    assert first["uuid"] != second["uuid"]


@pytest.mark.parametrize(
    "hosts",
    [["MX1.example.com", "mx2.example.com"], '["mx1.example.com", "mx2.example.com"]'],
    ids=["array", "text"],
)
def test_mx_and_dmarc_of_ones_own(call, acme, hosts):
    parameters = {"name": "example.com", "custom_mx_records": hosts, "dmarc_record": "v=DMARC1; p=reject"}
    records = call(PATH, parameters, key=acme.key)["data"]["dns_records"]
    rows = [(row["purpose"], row["value"], row.get("priority")) for row in records if row["purpose"] in ("mx", "dmarc")]
    assert rows == [
        ("mx", "mx1.example.com", 10),
        ("mx", "mx2.example.com", 10),
        ("dmarc", "v=DMARC1; p=reject", None),
    ]


def test_an_internationalised_name_is_stored_as_it_is_sent(call, acme):
    assert call(PATH, {"name": "München.example"}, key=acme.key)["data"]["domain"]["name"] == "xn--mnchen-3ya.example"


@pytest.mark.parametrize(
    "name",
    ["localhost", "exa mple.com", "-.com", "a..b", "1.1.1.1", "*.example.com", "a" * 64 + ".com", "x.com/y", "@"],
)
def test_it_rejects_what_is_no_domain(call, acme, name):
    answer = call(PATH, {"name": name}, key=acme.key)
    assert answer == error("ValidationError", "Name is not a domain name")
    assert not Domain.objects.exists()


@pytest.mark.parametrize(
    ("parameters", "answer"),
    [
        ({"name": None}, parameter_error("name is required")),
        ({"name": " "}, parameter_error("name is required")),
        ({"name": 5}, parameter_error("name is invalid")),
        ({"custom_mx_records": "mx.example.com"}, parameter_error("custom_mx_records is invalid")),
        ({"custom_mx_records": {"a": 1}}, parameter_error("custom_mx_records is invalid")),
        ({"custom_mx_records": [1]}, parameter_error("custom_mx_records is invalid")),
        ({"custom_mx_records": '["a", 1]'}, parameter_error("custom_mx_records is invalid")),
        ({"dmarc_record": []}, parameter_error("dmarc_record is invalid")),
        (
            {"custom_mx_records": ["mx.example.com", "no host"]},
            error("ValidationError", "Custom mx records[1] is not a host name"),
        ),
    ],
    ids=str,
)
def test_it_rejects_wrong_parameters(call, acme, parameters, answer):
    assert call(PATH, {"name": "example.com"} | parameters, key=acme.key) == answer
    assert not Domain.objects.exists()


def test_it_rejects_a_dmarc_record_that_is_none(call, acme):
    answer = call(PATH, {"name": "example.com", "dmarc_record": "p=none"}, key=acme.key)
    assert answer["data"]["code"] == "ValidationError"
    assert answer["data"]["message"].startswith("Dmarc record is not a DMARC record: ")


@pytest.mark.server
def test_a_name_that_another_organization_has_proven(call, acme, globex, dns):
    theirs = call(PATH, {"name": "example.com"}, key=globex.key)["data"]["domain"]
    Domain.objects.update(verified_at=NOW)

    refusal = call(PATH, {"name": "example.com"}, key=acme.key)
    text = refusal["data"]["dns_verification_string"]
    assert refusal == {
        "status": "error",
        "flags": {},
        "data": {
            "code": "VerificationFailed",
            "message": "example.com has been verified by another organization. If it is yours, publish the TXT record "
            f"“{text}” at example.com and try again.",
            "name": "example.com",
            "dns_verification_string": text,
        },
    }
    assert text != theirs["dns_verification_string"]
    assert "globex" not in str(refusal).lower()
    assert Domain.objects.count() == 1

    # Published, it is ours, and verified.
    dns.load(f'example.com. 60 IN TXT "{text}"')
    domain = call(PATH, {"name": "example.com"}, key=acme.key)["data"]["domain"]
    assert (domain["verified"], domain["dns_verification_string"]) == (True, text)


def test_a_name_that_another_organization_only_added_is_free(call, acme, globex):
    call(PATH, {"name": "example.com"}, key=globex.key)
    assert call(PATH, {"name": "example.com"}, key=acme.key)["status"] == "success"
