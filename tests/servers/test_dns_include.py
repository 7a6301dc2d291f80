"""The platform's include in SPF: what is advised where it does not help, or leads beyond the limit of look-ups."""

from dataclasses import replace

import pytest

from tests.dns_server import LocalDNS
from tests.servers.dns_example import EXPECTED, INVALID, OK, find, put

pytestmark = pytest.mark.server

WITH_INCLUDE = replace(EXPECTED, spf_include="_spf.postal")
OUTSIDE = (
    "_spf.postal, this platform's own record, does not pass 192.0.2.9 and 2001:db8::9: the platform must add "
    "“ip4:192.0.2.9 ip6:2001:db8::9” to it."
)


@pytest.mark.parametrize("record", ["v=spf1 include:_spf.postal ~all", "v=spf1 redirect=_spf.postal"])
def test_who_includes_the_platforms_record_is_not_told_to_include_it(dns: LocalDNS, record: str) -> None:
    dns.load('_spf.postal. 60 IN TXT "v=spf1 ip4:192.0.2.1 ~all"')
    put(dns, "example.com", record)
    finding = find("spf", WITH_INCLUDE)
    by = f"softfail by “{record.split()[-1]}”"
    assert (finding.status, finding.error) == (
        INVALID,
        f"192.0.2.9 and 2001:db8::9 do not pass ({by}). {OUTSIDE}",
    )


def test_who_does_not_is_told_both(dns: LocalDNS) -> None:
    dns.load('_spf.postal. 60 IN TXT "v=spf1 ip4:192.0.2.1 ~all"')
    put(dns, "example.com", "v=spf1 -all")
    assert find("spf", WITH_INCLUDE).error == (
        "192.0.2.1, 192.0.2.9 and 2001:db8::9 do not pass (fail by “-all”). "
        f"{OUTSIDE} Put “include:_spf.postal” after “v=spf1” in “v=spf1 -all”."
    )


# As the documentation of large senders has them: so many look-ups each.
SENDERS = {"_spf.google.example": 4, "spf.outlook.example": 3, "sendgrid.example": 2}


def senders(dns: LocalDNS, names: list[str]) -> str:
    """Publish the records of these senders, and return the terms that include them."""
    for name in names:
        parts = [f"_{number}.{name}" for number in range(1, SENDERS[name])]
        put(dns, name, f"v=spf1 {' '.join(f'include:{each}' for each in parts)} ~all")
        for number, each in enumerate(parts):
            put(dns, each, f"v=spf1 ip4:198.51.100.{number} ~all")
    return " ".join(f"include:{name}" for name in names)


def test_a_term_that_leads_beyond_ten_look_ups_is_not_advised_without_saying_so(dns: LocalDNS) -> None:
    dns.load('_spf.postal. 60 IN TXT "v=spf1 include:a.postal ~all"\na.postal. 60 IN TXT "v=spf1 ip4:192.0.2.0/24 '
             'ip6:2001:db8::/32 ~all"')  # fmt: skip
    record = f"v=spf1 {senders(dns, list(SENDERS))} ~all"
    put(dns, "example.com", record)
    finding = find("spf", WITH_INCLUDE)
    assert (finding.status, finding.error) == (
        INVALID,
        (
            "192.0.2.1, 192.0.2.9 and 2001:db8::9 do not pass (softfail by “~all”). With this platform's include it would need "
            "11 DNS look-ups, and only 10 are allowed (“include:_spf.google.example” 4, “include:spf.outlook.example” 3, "
            "“include:sendgrid.example” 2 and “include:_spf.postal” 2), so shorten it first. Remove unused terms, or replace "
            f"the largest term with its networks (ip4:, ip6:). Put “include:_spf.postal” after “v=spf1” in “{record}”."
        ),
    )
    # Without one of them there is room; the advice, followed, passes.
    fewer = f"v=spf1 {senders(dns, ['_spf.google.example', 'spf.outlook.example'])} ~all"
    put(dns, "example.com", fewer)
    assert "look-ups" not in find("spf", WITH_INCLUDE).error
    put(dns, "example.com", fewer.replace("v=spf1", "v=spf1 include:_spf.postal"))
    finding = find("spf", WITH_INCLUDE)
    assert (finding.status, finding.error, finding.warning) == (OK, "", "")
