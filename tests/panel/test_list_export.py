"""Lists as files: the shown columns of the filtered rows, for exactly those who see the list, without formulas, bounded."""

import csv
import html
import io

import pytest
from django.contrib import admin
from django.contrib.messages import get_messages
from django.urls import reverse

from core.models import AuditEntry, User
from panel import list_export
from servers.credentials import create_credential
from tests.panel.conftest import SYSTEM, make_person, sign_in

SENT = ["Sent today", "Sent in 7 days", "Sent this month"]


def table(response):
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))


def url_of(name):
    return reverse(f"admin:{name}_list_export")


def lists():
    """Return the name and page of every list: a model joins by having a page."""
    return sorted(
        (f"{model._meta.app_label}_{model._meta.model_name}", page) for model, page in admin.site._registry.items()
    )


def test_it_works(acme, globex, platform):
    response = sign_in(acme.operator).get(url_of("servers_domain"))
    assert response.headers["Content-Disposition"] == 'attachment; filename="domains.csv"'
    assert table(response) == [
        ["Name", "Server", "Verified", "SPF", "DKIM", "MX", "Return path", "DMARC", *SENT, "Last checked"],
        ["acme.example", str(acme.domain.server), "no", "", "", "", "", "", "0", "0", "0", ""],
    ]


def test_choices_and_records_have_their_names(acme, globex, platform):
    membership = acme.organization.memberships.get(user=acme.analyst)
    rows = table(sign_in(acme.owner).get(url_of("servers_membership"), {"role__exact": "analyst"}))
    assert rows == [
        ["User", "Organization", "Role", "Created at"],
        [acme.analyst.username, "Acme", "Analyst (read only)", membership.created_at.isoformat(timespec="seconds")],
    ]


def test_it_holds_what_the_list_shows(acme, globex, platform):
    root = sign_in(platform.superuser)
    everything = table(root.get(url_of("servers_server")))
    found = table(root.get(url_of("servers_server"), {"q": "globex"}))
    assert {row[0] for row in everything[1:]} >= {acme.server.name, globex.server.name}
    assert [row[0] for row in found[1:]] == [globex.server.name]
    descending = table(root.get(url_of("servers_server"), {"o": "-1"}))
    ascending = table(root.get(url_of("servers_server"), {"o": "1"}))
    assert descending[1:] == ascending[:0:-1]


@pytest.mark.parametrize(("name", "page"), lists(), ids=lambda each: each if isinstance(each, str) else "")
def test_every_list_has_an_export_of_all_its_rows(name, page, acme, globex, platform):
    root = sign_in(platform.superuser)
    shown = root.get(reverse(f"admin:{name}_changelist"))
    assert ">Export</a>" in html.unescape(shown.content.decode())
    [url] = [url for title, url in shown.context["file_tools"] if title == "Export"]
    assert root.get(url).status_code == 200
    header, *rows = table(root.get(url_of(name)))
    assert len(rows) == shown.context["cl"].result_count
    assert {len(row) for row in rows} <= {len(header)}
    assert all("<" not in cell for row in rows for cell in row)


@pytest.mark.parametrize("role", ["owner", "operator", "analyst"])
def test_it_holds_what_the_person_sees_and_nothing_of_others(role, acme, globex, platform):
    client = sign_in(getattr(acme, role))
    audited = AuditEntry.objects.count()
    for name, _ in lists():
        listed, file = client.get(reverse(f"admin:{name}_changelist")), client.get(url_of(name))
        assert file.status_code == listed.status_code, name
        if listed.status_code == 200:
            assert len(table(file)) == listed.context["cl"].result_count + 1, name
            assert "globex" not in file.content.decode().lower(), name
        assert client.post(url_of(name)).status_code in (200, 403), name
    assert AuditEntry.objects.count() == audited


def test_only_people_who_are_signed_in_get_it(acme, platform):
    customer = make_person("customer")
    User.objects.filter(pk=customer.pk).update(is_staff=False)
    for client in (sign_in(None), sign_in(customer)):
        response = client.get(url_of("servers_server"))
        assert (response.status_code, response.headers["Location"][:13]) == (302, "/admin/login/")


def test_a_cell_is_no_formula(acme, platform):
    create_credential(server=acme.server, kind="api", name="=1+1", actor=SYSTEM)
    rows = table(sign_in(acme.operator).get(url_of("servers_credential"), {"q": "=1"}))
    assert [row[0] for row in rows[1:]] == ["'=1+1"]


def test_it_is_narrowed_by_no_more_than_its_list(acme, platform):
    client = sign_in(platform.superuser)
    for asked in ({"password__startswith": "x"}, {"is_active__exact": "perhaps"}):
        assert client.get(url_of("core_user"), asked).status_code == 400, asked


def test_too_many_rows_are_refused_in_words_and_nothing_is_cut(acme, globex, platform, monkeypatch):
    root = sign_in(platform.superuser)
    count = len(table(root.get(url_of("servers_server")))) - 1
    monkeypatch.setattr(list_export, "MOST_ROWS", count)
    assert len(table(root.get(url_of("servers_server")))) == count + 1
    monkeypatch.setattr(list_export, "MOST_ROWS", count - 1)
    response = root.get(url_of("servers_server"), {"o": "1"})
    assert response.headers["Location"] == reverse("admin:servers_server_changelist") + "?o=1"
    [message] = get_messages(response.wsgi_request)
    assert message.message.startswith("Not exported. More than ")
    assert message.message.endswith(" records were found, which is the most that a file has: filter the list.")
