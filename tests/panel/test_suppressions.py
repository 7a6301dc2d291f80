"""The pages of suppressions: the list, adding, removing, import and export, and the rules of an organization."""

import csv
import io

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry
from servers.provisioning import create_server, delete_server, restore_server
from suppressions import acts, rules, suppression_file
from suppressions.models import Suppression, SuppressionList
from tests.panel.conftest import SYSTEM, sign_in
from tests.panel.posting import imported

pytestmark = pytest.mark.django_db
LIST = "admin:suppressions_suppression_changelist"


def suppress(tenant, *addresses, server=None, **more):
    values = {"reason": "api", "at": timezone.now(), "actor": SYSTEM, **more}
    acts.suppress(organization=tenant.organization, server=server, addresses=addresses, **values)


def shown(person, **query):
    """Return the masked addresses of a person's list."""
    response = sign_in(person).get(reverse(LIST), query)
    assert response.status_code == 200
    return [each.masked for each in response.context["cl"].result_list]


def said(response):
    return [str(each) for each in get_messages(response.wsgi_request)]


def add(client, **given):
    return client.post(
        reverse("admin:suppressions_suppression_add"),
        {"organization": "", "server": "", "expires_at_0": "", "expires_at_1": "", **given},
    )


def faults(response):
    form = response.context["adminform"].form
    return {name: [str(each) for each in found] for name, found in form.errors.items()}


def test_the_list_has_what_applies_and_is_searched_by_the_whole_address(acme, globex, platform):
    suppress(acme, "ann@x.example", "bob@gmail.com", expires_at=timezone.now() + timezone.timedelta(days=1))
    suppress(globex, "ann@x.example", "roger@x.example")
    expired = Suppression.objects.get(organization=acme.organization, masked="b…b@gmail.com")
    Suppression.objects.filter(pk=expired.pk).update(created_at="2020-01-01T00:00Z", expires_at="2020-01-02T00:00Z")
    assert shown(acme.analyst) == ["a…n@x.example", "r…r@gmail.com"]
    assert shown(acme.analyst, q=" Ann@X.example ") == ["a…n@x.example"]
    assert (
        shown(acme.analyst, q="roger@x.example") == shown(acme.analyst, q="ann") == shown(acme.analyst, q="a…n") == []
    )
    assert len(shown(platform.superuser, q="ann@x.example")) == 2
    assert shown(acme.analyst, reason__exact="manual") == ["r…r@gmail.com"]
    assert shown(acme.analyst, server__id__exact=acme.server.pk) == ["r…r@gmail.com"]


def test_the_search_is_a_constant_number_of_queries(acme):
    def queries():
        client = sign_in(acme.analyst)
        client.get(reverse(LIST), {"q": "user1@gmail.com"})
        with CaptureQueriesContext(connection) as made:
            client.get(reverse(LIST), {"q": "user1@gmail.com"})
        return len(made)

    few = queries()
    suppress(acme, *(f"user{each}@gmail.com" for each in range(60)))
    assert few <= queries() <= 20


def test_addresses_are_added_for_a_server_or_for_the_organization(acme):
    client = sign_in(acme.operator)
    response = add(client, server=acme.server.pk, addresses="Ann@x.example\r\n\r\nroger@gmail.com\r\n")
    assert (response.status_code, response.headers["Location"]) == (302, reverse(LIST))
    assert said(response) == ["1 address is suppressed; 1 were suppressed already."]
    add(
        client,
        organization=acme.organization.pk,
        addresses="bob@x.example",
        expires_at_0="2036-01-31",
        expires_at_1="0:00",
    )
    rows = Suppression.objects.filter(organization=acme.organization).order_by("pk")
    assert [(each.masked, each.server, each.reason, each.actor_label) for each in rows[1:]] == [
        ("a…n@x.example", acme.server, "manual", acme.operator.username),
        ("b…b@x.example", None, "manual", acme.operator.username),
    ]
    assert rows[2].expires_at.isoformat() == "2036-01-31T00:00:00+00:00"


def test_it_rejects_what_is_wrong_and_names_the_line(acme, globex):
    client = sign_in(acme.operator)
    assert faults(add(client, server=acme.server.pk, addresses="ann@x.example\nnobody")) == {
        "addresses": ['"nobody" must be an e-mail address']
    }
    for several in ("ann@x.example,bob@x.example", "ann@x.example;bob@x.example"):
        assert faults(add(client, server=acme.server.pk, addresses=several)) == {
            "addresses": [f'"{several}" must be an e-mail address']
        }
    assert faults(add(client, server=acme.server.pk, addresses="\u200b\n\u200b")) == {"addresses": ["Is required"]}
    either = {"server": ["Or an organization is required, but not both"]}
    assert faults(add(client, addresses="ann@x.example")) == either
    both = {"server": acme.server.pk, "organization": acme.organization.pk}
    assert faults(add(client, **both, addresses="ann@x.example")) == either
    assert list(faults(add(client, server=globex.server.pk, addresses="ann@x.example"))) == ["server"]
    many = "\n".join(f"user{each}@gmail.com" for each in range(1_001))
    assert faults(add(client, server=acme.server.pk, addresses=many)) == {"addresses": ["Must be at most 1,000"]}
    assert Suppression.objects.filter(organization=acme.organization).count() == 1


def test_an_entry_is_removed(acme, globex):
    url = reverse("admin:suppressions_suppression_delete", args=[acme.suppression.pk])
    for person in (acme.analyst, globex.owner):
        sign_in(person).post(url, {"post": "yes"})
        assert Suppression.objects.get(pk=acme.suppression.pk).removed_at is None
    assert b"Only events from after the removal" in sign_in(acme.operator).get(url).content
    assert sign_in(acme.operator).post(url, {"post": "yes"}).status_code == 302
    assert Suppression.objects.get(pk=acme.suppression.pk).removed_at is not None
    assert shown(acme.operator) == []


def test_its_page_shows_the_clear_address_only_where_it_is_kept(acme):
    url = reverse("admin:suppressions_suppression_change", args=[acme.suppression.pk])
    page = sign_in(acme.analyst).get(url).content.decode()
    assert "r…r@gmail.com" in page
    assert "Acme server (Acme)" in page
    assert "/history/" not in page
    assert "not kept" in page
    rules.change_rules(organization=acme.organization, keeps_addresses=True, actor=SYSTEM)
    suppress(acme, "ann@x.example")
    kept = Suppression.objects.get(masked="a…n@x.example")
    page = sign_in(acme.analyst).get(reverse("admin:suppressions_suppression_change", args=[kept.pk])).content.decode()
    assert "ann@x.example" in page


# --- Files ------------------------------------------------------------------------------------------------------------


def upload(client, text, *, confirmed=""):
    file = SimpleUploadedFile("list.csv", text.encode(), "text/csv")
    looked = client.post(reverse("admin:suppressions_suppression_import"), {"file": file})
    if not confirmed or looked.context["form"].non_field_errors():
        return looked
    return imported(client, reverse("admin:suppressions_suppression_import"), text)


def test_a_file_is_imported_after_a_dry_run(acme):
    client = sign_in(acme.operator)
    text = (
        "server;address;expires_at\r\n"
        f";Ann@x.example;\r\n{acme.server.permalink};roger@gmail.com;\r\n{acme.server.permalink};bob@x.example;2036-01-31\r\n"
    )
    response = upload(client, text)
    assert response.context["effect"] == [("suppressed", 2), ("suppressed already", 1)]
    assert Suppression.objects.count() == 1
    assert SuppressionList.objects.get().number == 1
    response = imported(client, reverse("admin:suppressions_suppression_import"), text)
    assert response.headers["Location"] == reverse(LIST)
    rows = Suppression.objects.exclude(pk=acme.suppression.pk).order_by("pk")
    assert [(each.masked, each.server, each.reason, each.expires_at and each.expires_at.year) for each in rows] == [
        ("a…n@x.example", None, "import", None),
        ("b…b@x.example", acme.server, "import", 2036),
    ]
    entry = AuditEntry.objects.get(act="suppression.imported")
    assert (entry.actor_label, entry.after) == (acme.operator.username, {"changes": 2, "reason": "import"})


def test_a_file_is_refused_as_a_whole_with_every_line(acme, globex, settings):
    client = sign_in(acme.operator)
    text = (
        "organization,server,address,expires_at\n"
        "acme,,good@x.example,\n"
        "globex,,ann@x.example,\n"
        f"acme,{globex.server.permalink}-2,ann@x.example,\n"
        "acme,,nobody,\n"
        "acme,,ann@x.example,soon\n"
        "acme,,ann@x.example,2020-01-01\n"
        "acme,,ann@x.example,9999-12-31T23:59:59-05:00\n"
        "acme,,ann@x.example,9999-12-31\n"
    )
    response = upload(client, text)
    assert [str(each) for each in response.context["form"].non_field_errors()] == [
        "line 3.organization could not be found",
        "line 4.server could not be found",
        "line 5.address must be an e-mail address",
        "line 6.expires_at must be a date or time, such as 2027-01-31",
        "line 7.expires_at must be in the future",
        "line 8.expires_at must be a date or time, such as 2027-01-31",
        "line 9.expires_at must be from the year 1970 to 9998",
    ]
    settings.SLUICE_MAX_SUPPRESSIONS = 1
    response = upload(client, "address\nann@x.example\n", confirmed="yes")
    assert "as many suppressions as the platform allows" in str(response.context["form"].non_field_errors())
    assert Suppression.objects.filter(organization=acme.organization).count() == 1


def test_a_link_to_an_address_is_the_address(acme):
    upload(sign_in(acme.operator), "address\nMailto:ann@x.example\n", confirmed="yes")
    assert Suppression.objects.exclude(pk=acme.suppression.pk).get().masked == "a…n@x.example"


def test_what_pages_and_mail_programs_add_to_an_address_is_no_part_of_it(acme):
    client = sign_in(acme.operator)
    pasted = "\ufeffann@x.example\u00a0\r\nmailto:bob@x.example\r\n\u200b\r\n<cem@x.exa\u00admple>"
    assert add(client, server=acme.server.pk, addresses=pasted).status_code == 302
    found = Suppression.objects.exclude(pk=acme.suppression.pk).order_by("pk")
    assert [each.masked for each in found] == ["a…n@x.example", "b…b@x.example", "c…m@x.example"]
    assert shown(acme.operator, q="mailto:ann@x.example\u200b") == ["a…n@x.example"]


def test_what_is_exported_imports_as_unchanged_where_the_addresses_are_kept(acme, globex, platform):
    rules.change_rules(organization=acme.organization, keeps_addresses=True, actor=SYSTEM)
    Suppression.objects.filter(organization=acme.organization).delete()
    ends = timezone.now() + timezone.timedelta(days=1)
    suppress(acme, "ann@x.example", "+tag@x.example", '"a,b;c@d"@x.example', expires_at=ends)
    suppress(acme, "ann@x.example", server=acme.server)
    before = list(Suppression.objects.order_by("pk").values())
    client = sign_in(acme.operator)
    text = client.get(reverse("admin:suppressions_suppression_export")).content.decode()
    assert upload(client, text).context["effect"] == [("suppressed", 0), ("suppressed already", 4)]
    assert upload(client, text, confirmed="yes").status_code == 302
    assert list(Suppression.objects.order_by("pk").values()) == before
    # Where they are not, the refusal is about that, whatever else is in the row.
    Suppression.objects.filter(organization=globex.organization).update(event_id="event-1")
    text = sign_in(globex.operator).get(reverse("admin:suppressions_suppression_export")).content.decode()
    response = upload(sign_in(globex.operator), text)
    assert [str(each) for each in response.context["form"].non_field_errors()] == [
        "line 2.address is required, and this organization's addresses are not kept"
    ]


def test_those_of_a_deleted_server_are_neither_listed_nor_exported(acme):
    rules.change_rules(organization=acme.organization, keeps_addresses=True, actor=SYSTEM)
    Suppression.objects.filter(organization=acme.organization).delete()
    suppress(acme, "ann@x.example")
    suppress(acme, "bob@x.example", server=acme.server)
    delete_server(server=acme.server, at=timezone.now(), actor=SYSTEM)
    assert shown(acme.operator) == ["a…n@x.example"]
    text = sign_in(acme.operator).get(reverse("admin:suppressions_suppression_export")).content.decode()
    assert upload(sign_in(acme.operator), text).context["effect"] == [("suppressed", 0), ("suppressed already", 1)]
    restore_server(server=acme.server, at=timezone.now(), actor=SYSTEM)
    assert len(shown(acme.operator)) == 2


def test_who_changes_several_organizations_names_one(acme, globex, platform):
    response = upload(sign_in(platform.superuser), "address\nann@x.example\n")
    assert "line 2.organization is required" in str(response.context["form"].non_field_errors())
    upload(sign_in(platform.superuser), "organization,address\nglobex,ann@x.example\n", confirmed="yes")
    assert globex.organization.suppressions.count() == 2


def test_a_file_of_too_many_rows_is_refused(acme, monkeypatch):
    monkeypatch.setattr(suppression_file, "MOST_ROWS", 2)
    response = upload(sign_in(acme.operator), "address\na@x.example\nb@x.example\nc@x.example\n")
    assert "line 4 is over the limit: a file can have 2 rows" in str(response.context["form"].non_field_errors())


def test_an_analyst_exports_and_does_not_import(acme, globex):
    create_server(organization=acme.organization, name="Second", actor=SYSTEM)
    suppress(acme, "=ann@x.example")
    client = sign_in(acme.analyst)
    assert upload(client, "address\nann@x.example\n").status_code == 403
    assert "Import" not in client.get(reverse(LIST)).content.decode().split('class="panel-tools"')[1].split("</p>")[0]
    response = client.get(reverse("admin:suppressions_suppression_export"))
    rows = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert rows[0] == list(suppression_file.EXPORTED)
    assert [row[:5] for row in rows[1:]] == [
        ["acme", "", "", "'=…n@x.example", "api"],
        ["acme", acme.server.permalink, "", "r…r@gmail.com", "manual"],
    ]


# --- Rules ------------------------------------------------------------------------------------------------------------


def test_the_rules_of_an_organization_are_changed_by_its_people(acme, globex):
    url = reverse("admin:servers_organization_suppression_rules", args=[acme.organization.pk])
    given = {
        "suppresses_bounces": "on",
        "bounce_threshold": 3,
        "scope": "organization",
        "valid_days": "",
        "at_submission": "drop",
        "_form_submitted": "on",
    }
    for person in (acme.analyst, globex.owner):
        assert sign_in(person).post(url, given).status_code in (302, 403, 404)
    assert SuppressionList.objects.get(pk=acme.organization.pk).bounce_threshold == 1
    page = sign_in(acme.operator).get(url).content.decode()
    assert "After so many bounces" in page
    assert sign_in(acme.operator).post(url, given).status_code == 302
    assert rules.document(SuppressionList.objects.get(pk=acme.organization.pk)) == {
        "suppresses_bounces": True,
        "bounce_threshold": 3,
        "suppresses_complaints": False,
        "scope": "organization",
        "valid_days": None,
        "keeps_addresses": False,
        "at_submission": "drop",
    }
    assert sign_in(acme.operator).post(url, {**given, "bounce_threshold": 0}).status_code == 200
