"""A domain's page against a real DNS server: what to publish, what was found, what to change, "check now"; lists by status."""

import html
import re

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from core.audit import Actor
from servers.dns_records import expected_of, records_of
from servers.domains import create_domain
from servers.models import Domain
from servers.zone_file import zone_file
from tests.dns_server import SERVFAIL
from tests.panel.conftest import sign_in

pytestmark = pytest.mark.server


@pytest.fixture
def domain(acme, dns) -> Domain:
    """A domain with all its records published."""
    domain = create_domain(at=timezone.now(), server=acme.server, name="mail.example", actor=Actor.system()).domain
    dns.load(zone_file(domain.name, records_of(expected_of(domain))))
    return domain


def check_now(client, domain) -> str:
    response = client.post(reverse("admin:servers_domain_check_now", args=[domain.pk]), {"_form_submitted": "True"})
    assert response.status_code == 302
    [message] = get_messages(response.wsgi_request)
    client.get(response.headers["Location"])
    is_right = message.message == f"{domain.name} is verified."
    assert message.level_tag == ("success" if is_right else "warning")
    return str(message)


def page(client, domain) -> str:
    return client.get(reverse("admin:servers_domain_change", args=[domain.pk])).content.decode()


def summary(shown: str) -> str:
    [line] = re.findall(r'<p id="records-summary">(.*?)</p>', shown)
    return re.sub(r"<.*?>", "", line)


def verified_on(domain) -> str:
    domain.refresh_from_db()
    return date_format(domain.verified_at, "DATETIME_FORMAT")


def test_it_works(acme, domain):
    client = sign_in(acme.operator)
    assert check_now(client, domain) == "mail.example is verified."
    shown = page(client, domain)

    copied = [html.unescape(text) for text in re.findall(r'data-copy="([^"]*)"', shown)]
    # Each record's name and value as the API tells them, to be pasted into any DNS host's form.
    assert copied == [text for each in records_of(expected_of(domain)) for text in (each.name, each.value)]
    assert shown.count('<span class="panel-good">OK</span>') == 6
    assert "panel-bad" not in shown
    assert summary(shown) == f"6 of 6 records are right; ownership is proven since {verified_on(domain)}."
    # What is right is folded away.
    assert shown.count('<summary class="cursor-pointer"><b>') == 6
    assert "rp.mail.example. 3600 IN CNAME rp.postal." in shown
    # The time is a reader's, not a machine's.
    assert re.search(r"What DNS answered \(\d+ \w+ \d{4}, ", shown)


def test_what_is_wrong_is_said_in_a_sentence(acme, domain, dns):
    client = sign_in(acme.operator)
    check_now(client, domain)
    dns.remove("rp.mail.example", "CNAME")
    dns.load("rp.mail.example. 60 IN CNAME elsewhere.postal.")
    dns.remove("_dmarc.mail.example", "TXT")

    assert check_now(client, domain) == "mail.example is verified. Failed checks: Return path, DMARC."
    shown = html.unescape(page(client, domain))
    assert summary(shown) == f"4 of 6 records are right; ownership is proven since {verified_on(domain)}."
    # What to publish stands once, to be copied: the sentence does not repeat it. What is wrong comes first, unfolded.
    assert '<p class="panel-bad">rp.mail.example leads to elsewhere.postal.</p>' in shown
    assert re.findall(r"<b>(.*?)</b> <span class=\"panel-(?:good|bad)", shown)[:3] == [
        "Return path",
        "DMARC",
        "Proof of ownership",
    ]
    assert shown.count('<summary class="cursor-pointer"><b>') == 4
    assert re.findall(r"<ins>(.*?)</ins>|<del>(.*?)</del>", shown) == [("rp", ""), ("", "elsewhere")]
    assert shown.count("no such record") == 1
    assert shown.count('<span class="panel-bad">Invalid</span>') == 1
    assert shown.count('<span class="panel-bad">Missing</span>') == 1


def test_a_failing_resolver_leaves_the_page_green_with_a_warning(acme, domain, dns):
    client = sign_in(acme.operator)
    check_now(client, domain)
    dns.fault("mail.example", SERVFAIL, "MX")

    assert check_now(client, domain) == "mail.example is verified. DNS could not be queried for: MX."
    shown = html.unescape(page(client, domain))
    assert shown.count('<span class="panel-good">OK</span>') == 6
    [sentence] = re.findall(r'<p class="panel-warn">(.*?)</p>', shown)
    assert sentence.startswith("DNS could not be queried (mail.example MX: server failure, SERVFAIL from 127.0.0.1")
    assert "mail.example. 3600 IN MX 10 mx.postal." in shown


def test_a_warning_stands_beside_a_status_that_is_right(acme, domain, dns):
    dns.remove("mail.example", "TXT")
    dns.load(
        f'mail.example. 60 IN TXT "postal-verify {domain.verification_token}"\nmail.example. 60 IN TXT "v=spf1 +all"'
    )
    client = sign_in(acme.operator)
    assert check_now(client, domain) == "mail.example is verified."
    shown = html.unescape(page(client, domain))
    assert shown.count('<span class="panel-good">OK</span>') == 6
    [warning] = re.findall(r'<p class="panel-warn">(.*?)</p>', shown)
    assert warning == (
        "“+all” passes every address, so anyone can send as mail.example. End the record with “~all” or “-all”."
    )


@pytest.mark.parametrize(
    ("text", "status", "copied", "shown"),
    [
        # Right with other senders: to publish another one would take them away.
        ("v=spf1 a:other.example ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", "OK", None, None),
        # Wrong, and no other record would be right: the sentence says what to change.
        (
            "v=spf1 ipv4:192.0.2.1 -all",
            "Invalid",
            "",
            "Found</small> <code>v=spf1 ipv4:192.0.2.1 -all</code>",
        ),
        ("v=spf1; mx; -all", "Invalid", "v=spf1 ip4:192.0.2.1 mx -all", None),
        # Neither this one nor that of Sender ID is “the same” as none.
        ("spf-verification=abc", "Invalid", "", "Found</small> no such record"),
        ("spf2.0/pra ip4:192.0.2.7 -all", "Missing", "v=spf1 ip4:192.0.2.1 ~all", "Found</small> no such record"),
    ],
)
def test_no_spf_record_is_to_be_replaced_by_one_without_its_senders(acme, domain, dns, text, status, copied, shown):
    dns.remove("mail.example", "TXT")
    dns.load(f'mail.example. 60 IN TXT "postal-verify {domain.verification_token}"\nmail.example. 60 IN TXT "{text}"')
    client = sign_in(acme.operator)
    check_now(client, domain)
    content = html.unescape(page(client, domain))
    assert re.search(rf'<b>SPF</b>\s*<span class="panel-(?:good|bad)">{status}</span>', content)
    copies = [each for each in re.findall(r'data-copy="([^"]*)"', content) if each.startswith("v=spf1")]
    assert copies == [text if copied is None else copied][: copied != ""]
    assert shown is None or shown in content


def test_a_subdomain_under_a_policy_shows_no_record_to_publish(acme, dns):
    domain = create_domain(at=timezone.now(), server=acme.server, name="news.mail.example", actor=Actor.system()).domain
    dns.load('_dmarc.mail.example. 60 IN TXT "v=DMARC1; p=reject"\nnews.mail.example. 60 IN A 192.0.2.1')
    client = sign_in(acme.operator)
    check_now(client, domain)
    shown = html.unescape(page(client, domain))
    assert "p=none" not in shown
    assert "_dmarc.news.mail.example" not in re.findall(r'data-copy="([^"]*)"', shown)
    assert re.search(
        r"<b>DMARC</b>\s*<span class=\"panel-good\">OK</span>\s*<span class=\"panel-quiet\">nothing to publish", shown
    )
    assert "so the policy is reject. It needs no record of its own." in shown


def test_lists_filter_by_status(acme, globex, domain, dns):
    client = sign_in(acme.operator)
    check_now(client, domain)

    def listed(query: str) -> set[str]:
        answer = client.get(reverse("admin:servers_domain_changelist") + query)
        assert answer.status_code == 200
        return {each.name for each in answer.context["cl"].result_list}

    assert listed("") == {"mail.example", "acme.example"}
    for check in ("spf", "dkim", "mx", "return_path", "dmarc"):
        assert listed(f"?{check}_status__exact=ok") == {"mail.example"}
        assert listed(f"?{check}_status__exact=missing") == set()
    assert listed("?verified_at__isempty=1") == {"acme.example"}
    assert listed("?verified_at__isempty=0") == {"mail.example"}
    filters = html.unescape(client.get(reverse("admin:servers_domain_changelist")).content.decode())
    titles = re.findall(r">\s*(Verified|Proof of ownership|SPF|DKIM|MX|Return path|DMARC)\s*</h3>", filters)
    assert titles == ["Verified", "Proof of ownership", "SPF", "DKIM", "MX", "Return path", "DMARC"]


def test_the_zone_file_is_what_was_published(acme, globex, domain):
    address = reverse("admin:servers_domain_zone", args=[domain.pk])
    answer = sign_in(acme.analyst).get(address)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="mail.example.zone.txt"'
    # Before the first check nobody knows what other senders have published.
    assert answer.content.decode() == zone_file(domain.name, records_of(expected_of(domain)), is_checked=False)
    assert "would stand beside them" in answer.content.decode()
    assert "wait for the check: these are proposed without them" in page(sign_in(acme.analyst), domain)
    Domain.objects.filter(pk=domain.pk).update(dns_checked_at=timezone.now())
    answer = sign_in(acme.analyst).get(address)
    assert answer.content.decode() == zone_file(domain.name, records_of(expected_of(domain)))
    assert "wait for the check" not in page(sign_in(acme.analyst), domain)
    assert sign_in(globex.owner).get(address).status_code == 404


def test_it_rejects_other_tenants_and_readers(acme, globex, domain, dns):
    address = reverse("admin:servers_domain_check_now", args=[domain.pk])
    assert sign_in(globex.owner).post(address, {"_form_submitted": "True"}).status_code in {403, 404}
    assert sign_in(acme.analyst).post(address, {"_form_submitted": "True"}).status_code == 403
    assert dns.questions() == {}


def test_a_new_domain_that_dns_says_nothing_of_has_no_last_known_status(acme, domain, dns):
    client = sign_in(acme.operator)
    dns.fault("mail.example", SERVFAIL)
    assert check_now(client, domain) == (
        "mail.example is not verified yet. DNS could not be queried for: Proof of ownership, SPF, MX."
    )
    assert "last known" not in page(client, domain)


def test_an_identity_that_could_not_be_asked_for_is_not_called_right(acme, platform, root, dns):
    address = acme.address
    dns.load(f"1.2.0.192.in-addr.arpa. 60 IN PTR {address.hostname}.\n{address.hostname}. 60 IN A {address.ipv4}")

    def check_identity() -> list[tuple[str, str]]:
        url = reverse("admin:ippools_ipaddress_check_identity", args=[address.pk])
        response = root.post(url, {"_form_submitted": "True"})
        root.get(response.headers["Location"])
        return [(each.level_tag, str(each)) for each in get_messages(response.wsgi_request)]

    assert check_identity() == [("success", f"The identity of {address} is right.")]
    dns.fault("1.2.0.192.in-addr.arpa", SERVFAIL)
    assert check_identity() == [
        ("warning", "DNS could not be queried for: Name (PTR), Name leads back (FCrDNS)."),
    ]
