"""CSV: addresses with their pools and a template's rules, out and in again, with a dry run; usage by month."""

import csv
import datetime
import io
import re
import zoneinfo

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from core.models import AuditEntry
from ippools.models import IPAddress
from ippools.pausing import pause
from panel import csv_file
from panel.bulk import csv_import
from servers.pools import add_members, create_platform_pool, create_pool
from servers.provisioning import change_organization, change_server
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.counts.tiers import HOURS_KEPT
from stats.models import ServerCount
from stats.reports import usage
from tests.panel.conftest import SYSTEM, sign_in
from tests.panel.posting import imported
from throttling import rule_sets
from throttling.models import RuleSet, ThrottlingTemplate

EXPORT = reverse("admin:ippools_ipaddress_export")
IMPORT = reverse("admin:ippools_ipaddress_import")


def table(response):
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))


def test_what_is_exported_imports_as_unchanged(acme, globex, platform, root):
    rows = table(root.get(EXPORT))
    assert rows[0] == {
        "ipv4": "192.0.2.1",
        "name": "ip-192.0.2.1",
        "ipv6": "",
        "public_ipv4": "",
        "public_ipv6": "",
        "hostname": "192-0-2-1.acme.postal",
        "priority": "100",
        "template": "Default",
        "redirect": "",
        "delivery_paused": "no",
        "max_concurrent_connections": "",
        "max_messages_per_hour": "",
        "pools": "acme/Acme pool",
        "node": "",
    }
    text = root.get(EXPORT).content.decode()
    audited = AuditEntry.objects.count()
    assert root.post(IMPORT, {"text": text}).context["effect"] == [("created", 0), ("changed", 0), ("unchanged", 3)]
    imported(root, IMPORT, text)
    assert AuditEntry.objects.count() == audited


def test_excel_knows_the_encoding_of_an_export(platform, root):
    content = root.get(EXPORT).content
    assert content.startswith(b"\xef\xbb\xbfipv4,")
    file = SimpleUploadedFile("addresses.csv", content)
    assert root.post(IMPORT, {"file": file}).context["effect"][1] == ("changed", 0)


def test_the_export_holds_what_the_list_shows(acme, platform, root):
    assert [row["ipv4"] for row in table(root.get(EXPORT, {"q": "spare"}))] == [platform.address.ipv4]


def test_a_dry_run_changes_nothing_and_the_import_all(acme, platform, root):
    text = (
        "ipv4,hostname,delivery_paused,pools\n"
        "192.0.2.1,other.example.com,yes,acme/Acme pool;Shared\n"
        "192.0.2.77,new.example.com,no,Shared\n"
    )
    uploaded = SimpleUploadedFile("addresses.csv", b"\xef\xbb\xbf" + text.encode())
    context = root.post(IMPORT, {"file": uploaded}).context
    assert context["effect"] == [
        ("created", 1),
        ("changed", 1),
        ("unchanged", 0),
        # By the default template, which has no limit.
        ("created without an hourly limit or warm-up", 1),
    ]
    assert context["changes"] == [
        ("192.0.2.1", "delivery_paused", "no", "yes"),
        ("192.0.2.1", "pools", "acme/Acme pool", "acme/Acme pool;Shared"),
        ("192.0.2.77", "pools", "", "Shared"),
        ("192.0.2.1", "hostname", "192-0-2-1.acme.postal", "other.example.com"),
        ("192.0.2.77", "name", "", "ip-192.0.2.77"),
    ]
    assert not IPAddress.objects.filter(ipv4="192.0.2.77").exists()
    assert imported(root, IMPORT, context["form"].initial["text"]).status_code == 302
    acme.address.refresh_from_db()
    assert (acme.address.hostname, acme.address.delivery_paused) == ("other.example.com", True)
    assert sorted(platform.pool.addresses.values_list("ipv4", flat=True)) == ["192.0.2.1", "192.0.2.77"]
    assert IPAddress.objects.get(ipv4="192.0.2.77").template.name == "Default"


def test_a_file_says_what_the_world_sees_of_an_address(acme, platform, root):
    def row_after(*cells: str) -> dict[str, str]:
        text = "ipv4,public_ipv4,public_ipv6\n" + ",".join(cells) + "\n"
        assert imported(root, IMPORT, text).status_code == 302
        return table(root.get(EXPORT))[0]

    row = row_after("192.0.2.1", "198.51.100.9", "2001:DB8::09")
    assert (row["public_ipv4"], row["public_ipv6"]) == ("198.51.100.9", "2001:db8::9")
    row = row_after("192.0.2.1", "", "none")
    assert (row["public_ipv4"], row["public_ipv6"]) == ("198.51.100.9", "")
    said = root.post(IMPORT, {"text": "ipv4,public_ipv4\n192.0.2.1,10.0.0.1\n"}).context["form"].non_field_errors()
    assert said == ["line 2.public_ipv4 is not a public address: receivers cannot see it"]


def test_one_bad_line_imports_nothing_and_is_named(acme, platform, root):
    text = "ipv4,hostname,priority,pools\n192.0.2.50,a.example.com,1,\n192.0.2.51,-bad-,x,nowhere\n"
    response = imported(root, IMPORT, text)
    faults = response.context["form"].non_field_errors()
    assert [fault.split(" ")[1] for fault in faults] == ["3.priority", "3.pools"]
    assert not IPAddress.objects.filter(ipv4="192.0.2.50").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\nx\n", "The column “ipv4” is missing"),
        ("ipv4,colour\n1.2.3.4,red\n", "There is no column “colour”"),
        ("ipv4,ipv4\n1.2.3.4,1.2.3.4\n", "A column is named twice"),
        ("ipv4\n1.2.3.4,5\n", "line 2 has more cells than there are columns"),
        ("\n\nipv4,hostname\n1.2.3.4,a.example\n\n,,\n1.2.3.4,b.example", "line 7.ipv4 is already in line 4"),
        ("sep=|\nipv4|name\n", "line 1 sets a separator that is not a comma"),
        ('ipv4,priority\n1.2.3.4,"1,5"\n', "line 2.priority must be a whole number"),
        # Of an address that is new, an empty cell has no value to keep.
        ("ipv4,name,hostname\n192.0.2.1,x,\n192.0.2.77,y,\n192.0.2.78,z,h.example\n", "line 3.hostname is required"),
        ("ipv4\n192.0.2.77\n", "line 2.hostname is required"),
        ("ipv4,hostname\nx,h.example.com\n", "line 2.ipv4 must be a valid dotted-decimal IPv4 address"),
        ('ipv4\n"unclosed', "The file is not CSV"),
        ("", "Choose a file, or paste its text."),
    ],
)
def test_it_rejects_what_is_no_such_file(text, said, platform, root):
    form = imported(root, IMPORT, text).context["form"]
    assert [fault for fault in form.non_field_errors() if said in fault]


def test_it_rejects_bytes_that_are_no_text(platform, root):
    uploaded = SimpleUploadedFile("x.csv", b"\xff\xfe\x00")
    form = root.post(IMPORT, {"file": uploaded}).context["form"]
    assert form.non_field_errors() == ["The file is not whole as UTF-16: save it as “CSV UTF-8 (comma delimited)”"]


@pytest.mark.parametrize("over", [0, 1])
def test_a_file_of_two_mebibytes_is_read_and_none_that_is_larger(over, platform, root):
    content = b"ipv4\n" + b"#" * (csv_import.LARGEST + over - 5)
    form = root.post(IMPORT, {"file": SimpleUploadedFile("x.csv", content)}).context["form"]
    said = form.non_field_errors()
    assert ("The file is larger than 2 MiB: import it in parts." in said) == bool(over), [text[:200] for text in said]


def test_files_of_addresses_are_the_platforms(acme, platform):
    client = sign_in(acme.owner)
    assert (client.get(EXPORT).status_code, client.post(IMPORT).status_code) == (403, 403)


def test_an_empty_cell_leaves_each_value_and_none_takes_it_away(acme, platform, root):
    address = acme.address
    IPAddress.objects.filter(pk=address.pk).update(ipv6="2001:db8::1", priority=7, redirect=platform.address)
    pause(address.pk, actor=SYSTEM, reason="blocked", at=timezone.now(), until=None)
    RuleSet.objects.filter(pk=address.rules_id).update(max_concurrent_connections=3, max_messages_per_hour=30)
    before = table(root.get(EXPORT))[0]
    columns = list(before)
    text = ",".join(columns) + f"\n{before['ipv4']}" + "," * (len(columns) - 1) + "\n"
    audited = AuditEntry.objects.count()
    context = root.post(IMPORT, {"text": text}).context
    assert context["effect"] == [("created", 0), ("changed", 0), ("unchanged", 1)]
    assert context["changes"] == []
    imported(root, IMPORT, text)
    assert (table(root.get(EXPORT))[0], AuditEntry.objects.count()) == (before, audited)
    cleared = dict.fromkeys(columns, "") | {"ipv4": before["ipv4"], "delivery_paused": "no"}
    cleared |= dict.fromkeys(
        ("ipv6", "redirect", "max_concurrent_connections", "max_messages_per_hour", "pools"), "none"
    )
    text = ",".join(columns) + "\n" + ",".join(cleared.values()) + "\n"
    changes = root.post(IMPORT, {"text": text}).context["changes"]
    # Pauses and pools are told first.
    assert changes == [
        ("192.0.2.1", "delivery_paused", "yes", "no"),
        ("192.0.2.1", "pools", "acme/Acme pool", ""),
        ("192.0.2.1", "ipv6", "2001:db8::1", ""),
        ("192.0.2.1", "redirect", platform.address.name, ""),
        ("192.0.2.1", "max_concurrent_connections", "3", ""),
        ("192.0.2.1", "max_messages_per_hour", "30", ""),
    ]
    assert "acme/Acme pool" in root.post(IMPORT, {"text": text}).content.decode()
    assert imported(root, IMPORT, text).status_code == 302
    none = dict.fromkeys(("ipv6", "redirect", "max_concurrent_connections", "max_messages_per_hour", "pools"), "")
    assert table(root.get(EXPORT))[0] == before | none | {"delivery_paused": "no"}


def test_what_is_exported_imports_as_unchanged_whatever_the_names(acme, globex, platform, root):
    addresses = list(IPAddress.objects.filter(ipv4=acme.address.ipv4))
    clashing = create_pool(organization=acme.organization, name="Main", ips=["192.0.2.201"], actor=SYSTEM).pool
    for name in ("acme/Main", "none", "#1", "a;b", "'=x", "=y", "-", "x" * 36):
        made = create_platform_pool(name=name, actor=SYSTEM)
        add_members(pool=made, addresses=addresses, actor=SYSTEM)
    template = ThrottlingTemplate.objects.get(pk=platform.template.pk)
    for name in ("none", " blank", "#7", "=t"):
        template.name = name
        template.save()
        IPAddress.objects.filter(pk=acme.address.pk).update(template=template)
        text = root.get(EXPORT).content.decode()
        audited = AuditEntry.objects.count()
        context = root.post(IMPORT, {"text": text}).context
        assert context["form"].non_field_errors() == []
        assert context["effect"] == [("created", 0), ("changed", 0), ("unchanged", IPAddress.objects.count())]
        imported(root, IMPORT, text)
        assert AuditEntry.objects.count() == audited
    text = "ipv4,pools\n192.0.2.201,acme/main\n"
    [fault] = imported(root, IMPORT, text).context["form"].non_field_errors()
    assert fault.startswith("line 2.pools names “acme/main”, which several records are named: use the id instead (#")
    assert clashing.addresses.count() == 1


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t1", " =1", "\r1", "'=1", "''-1", "' @x"])
def test_no_cell_is_a_formula_and_each_reads_back(cell):
    assert csv_file.safe(cell) == "'" + cell
    assert csv_file.read_back(csv_file.safe(cell)) == cell


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("\uff1d1+1", "'\uff1d1+1"),
        ("a;=1+1;b", "a;'=1+1;b"),
        ('a;"=1+1;', "a;'\"=1+1;"),
        ("=1; +1;;-1", "'=1;' +1;;'-1"),
        ("a\n=1+1;", "a\n'=1+1;"),
        ("a;'=1", "a;''=1"),
        ("\r=1", "'\r'=1"),
        ("\t=1", "'\t'=1"),
        ("a\t=1\t-1", "a\t'=1\t'-1"),
        ("a\r\nb;\nc", "a\r\nb;\nc"),
    ],
)
def test_no_cell_is_a_formula_where_the_semicolon_separates(cell, written):
    """Germany's Excel reads `x,"a;=1+1;b"` as three cells: the quote does not stand at the beginning of one.

    LibreOffice separates by tabs too.
    """
    assert csv_file.safe(cell) == written
    assert csv_file.read_back(csv_file.safe(cell)) == cell


@given(st.text("a;=-+@'\" \t\r\n\uff1d,"))
def test_every_cell_reads_back(cell):
    written = csv_file.safe(cell)
    assert csv_file.read_back(written) == cell
    for begins in re.split(r"[;\t\r\n]", written):
        assert not re.match(r"[ \"]*[=+@\t\uff1d-]", begins)


@pytest.mark.parametrize("cell", ["it's", "'quoted'", "a=b", "a; b", "", 5, None])
def test_other_cells_stay(cell):
    assert csv_file.safe(cell) == cell


def test_a_templates_rules_go_out_and_in(platform, root):
    template = platform.template
    name = "admin:throttling_throttlingtemplate"
    rows = table(root.get(reverse(f"{name}_export_rules", args=[template.pk])))
    limits = {"max_concurrent_connections": "5", "max_messages_per_hour": "50"}
    assert rows == [{"domains": "mail.example", **limits, "throttle_program": ""}]
    url = reverse(f"{name}_import_rules", args=[template.pk])
    head = "domains,max_concurrent_connections,max_messages_per_hour,throttle_program\n"
    text = head + "a.example *.a.example,1,2,Slow down\nb.example,3,4,\n"
    effect = root.post(url, {"text": text}).context["effect"]
    assert effect == [("rules", 2), ("domain patterns with other limits", 4), ("addresses with this template", 1)]
    assert len(rule_sets.document(template.rules)["rules"]) == 1
    assert imported(root, url, text).status_code == 302
    found = rule_sets.document(template.rules)["rules"]
    assert [each["domains"] for each in found] == [["a.example", "*.a.example"], ["b.example"]]
    assert found[0]["throttle_program"] == {"id": platform.program.pk}
    # The same rules again, with what is empty left as it is; then a program taken away.
    for program, kept in (("", {"id": platform.program.pk}), ("none", None)):
        text = head + f"*.a.example A.example,,,{program}\nb.example,,4,\n"
        imported(root, url, text)
        now = rule_sets.document(template.rules)["rules"]
        assert [(each["max_concurrent_connections"], each["throttle_program"]) for each in now] == [
            (1, kept),
            (3, None),
        ]
    for text, said in (
        ("\n\na.example,1,2,\n\n-bad-,1,2,\n", 'line 6.domains[0] "-bad-" is not a valid domain name'),
        ("a.example,1,2,\na.example,1,2,\n", 'line 3.domains[0] "a.example" has already been taken'),
        ("a.example,1,2,nobody\n", "line 2.throttle_program names “nobody”, which does not exist"),
    ):
        assert root.post(url, {"text": head + text}).context["form"].non_field_errors() == [said]
    bad = imported(root, url, head + "a.example,x,2,\n").context["form"].non_field_errors()
    assert bad == ["line 2.max_concurrent_connections must be a whole number; 0 means unlimited"]


def test_usage_by_month_is_the_organizations_own_and_safe(acme, globex, platform):
    month = buckets.month_number(timezone.now().date())
    change_server(server=acme.server, name="=cmd()", actor=SYSTEM)
    for server, sent in ((acme.server, 7), (globex.server, 9)):
        ServerCount.objects.create(grain=Grain.MONTH, bucket=month, server_id=server.pk, sent=sent, bounced=1)
    url = reverse("admin:servers_organization_usage", args=[acme.organization.pk])
    assert table(sign_in(acme.analyst).get(url)) == [
        {
            "month": f"{timezone.now():%Y-%m}",
            "server": "'=cmd()",
            "permalink": "acme-server",
            "incoming": "0",
            "sent": "7",
            "deferred": "0",
            "bounced": "1",
            "held": "0",
            "spam": "0",
            "complaint": "0",
        }
    ]
    assert sign_in(globex.owner).get(url).status_code in (302, 403, 404)


@pytest.mark.parametrize(
    ("zone", "day", "at"),
    [
        ("Asia/Kolkata", "2026-10-01", "2026-10-01T00:30:00+05:30"),
        ("Asia/Kathmandu", "2026-10-01", "2026-10-01T00:45:00+05:45"),
        ("Europe/Berlin", "2026-10-25", "2026-10-25T00:00:00+02:00"),
        ("America/St_Johns", "2026-11-02", "2026-11-02T00:30:00-03:30"),
        # Summer begins at midnight: there is none.
        ("America/Santiago", "2026-09-06", "2026-09-06T01:00:00-03:00"),
    ],
)
def test_a_day_of_usage_begins_with_a_whole_hour(zone, day, at):
    begins = usage.begins(datetime.date.fromisoformat(day), zoneinfo.ZoneInfo(zone))
    assert begins.isoformat() == at
    before = begins.astimezone(datetime.UTC) - datetime.timedelta(hours=1)
    assert before.astimezone(begins.tzinfo).date() < begins.date()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC"])
def test_usage_by_day_is_by_the_organizations_time_zone(acme, globex, platform, zone):
    change_organization(at=timezone.now(), organization=acme.organization, time_zone=zone, actor=SYSTEM)
    now = timezone.now()
    local = now.astimezone(zoneinfo.ZoneInfo(zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    for at, sent in ((midnight - datetime.timedelta(hours=1), 5), (midnight, 7)):
        count = {"grain": Grain.HOUR, "bucket": buckets.hour_of(at), "bounced": 1}
        ServerCount.objects.create(**count, server_id=acme.server.pk, sent=sent)
        ServerCount.objects.create(**count, server_id=globex.server.pk, sent=100)
    url = reverse("admin:servers_organization_days", args=[acme.organization.pk])
    rows = table(sign_in(acme.analyst).get(url))
    # The first day that hours are kept of is cut off, in this zone's clock: which may have changed since, for summer.
    oldest = (now - HOURS_KEPT).astimezone(zoneinfo.ZoneInfo(zone)).date() + datetime.timedelta(days=1)
    assert (rows[-1]["day"], len(rows)) == (f"{oldest:%Y-%m-%d}", (local.date() - oldest).days + 1)
    yesterday = local.date() - datetime.timedelta(days=1)
    assert rows[0]["begins_at"] == midnight.isoformat()
    assert [(row["day"], row["time_zone"], row["sent"], row["bounced"]) for row in rows[:3]] == [
        (f"{local:%Y-%m-%d}", zone, "7", "1"),
        (f"{yesterday:%Y-%m-%d}", zone, "5", "1"),
        (f"{yesterday - datetime.timedelta(days=1):%Y-%m-%d}", zone, "0", "0"),
    ]
    assert sign_in(globex.owner).get(url).status_code in (302, 403, 404)
