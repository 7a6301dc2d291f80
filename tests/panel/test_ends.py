"""An end in the last hours of the calendar, or the first, is refused at every form: no page could show it in each time zone."""

import datetime

import pytest
from django.apps import apps
from django.forms import SplitDateTimeField
from django.urls import reverse

from core import ends
from core.audit import record
from core.errors import Fault
from core.models import AuditEntry, User
from servers.provisioning import create_server
from tests.panel.conftest import SYSTEM, sign_in
from tests.panel.urls import addresses

WITH_ENDS = ("_add", "_change", "_suspend", "_pause", "_extend", "_spare")
FORMS = [place for place in addresses() if place.model and place.name.endswith(WITH_ENDS)]
LAST_HOUR, FIRST_HOUR = ("9999-12-31", "23:59"), ("0001-01-01", "00:00")
PLAUSIBLE = {
    "reason": "Because", "name": "New", "addresses": "ann@example.com", "max_messages_per_hour": "5", "kind": "api",
}  # fmt: skip
A_DAY_EARLIER = ends.LAST - datetime.timedelta(days=1)
NOW = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)


def test_an_end_is_within_the_calendar_of_every_time_zone():
    for end in (ends.LAST, datetime.datetime.max.replace(tzinfo=datetime.UTC)):
        assert ends.faults_of("until", end, at=NOW) == [Fault("until", "must be from the year 1970 to 9998")]
    assert ends.faults_of("until", NOW, at=NOW) == [Fault("until", "must be in the future")]
    assert ends.faults_of("until", None, at=NOW) == ends.faults_of("until", A_DAY_EARLIER, at=NOW) == []
    assert ends.calendar_faults("until", datetime.datetime.min.replace(tzinfo=datetime.UTC))


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_every_form_refuses_an_end_beyond_the_calendar(zone, acme, globex, platform):
    User.objects.update(time_zone=zone)
    client = sign_in(platform.superuser)
    client.raise_request_exception = False
    tried = []
    for place in FORMS:
        record = apps.get_model(place.model)._default_manager.order_by("pk").first()
        url = reverse(f"admin:{place.name}", args=[record.pk] if place.has_record else [])
        form = form_of(client.get(url))
        moments = [name for name, field in getattr(form, "fields", {}).items() if isinstance(field, SplitDateTimeField)]
        for name in moments:
            for day, time in (LAST_HOUR, FIRST_HOUR):
                data = {**filled(form), "_form_submitted": "on", "confirmed": "1", f"{name}_0": day, f"{name}_1": time}
                response = client.post(url, data)
                assert response.status_code == 200, (url, data)
                shown = form_of(response)
                assert name in shown.errors, (url, data, shown.errors)
            tried.append(place.name)
    assert set(tried) >= {
        "core_apitoken_add", "ippools_addresscap_add", "ippools_ipaddress_pause", "servers_credential_add",
        "servers_credential_change", "servers_server_suspend", "suppressions_suppression_add",
    }  # fmt: skip


def form_of(response):
    context = response.context or {}
    adminform = context.get("adminform")
    return adminform.form if adminform is not None else context.get("form")


def filled(form):
    """Return plausible values for a form, so that its act is tried."""
    data = {}
    for name, field in form.fields.items():
        if name == "organization" and "server" in form.fields:
            continue
        value = PLAUSIBLE.get(name) or form.get_initial_for_field(field, name)
        queryset = getattr(field, "queryset", None)
        if not value and queryset is not None:
            value = getattr(queryset.first(), "pk", "")
        if value and not isinstance(field, SplitDateTimeField) and not isinstance(value, list | dict):
            data[name] = getattr(value, "pk", value)
    return data


# As long as the trail's own times, and out of the calendar in some zone.
BEYOND = [
    "9999-12-31T23:59:59-12:00",
    "9999-12-31T23:59:59+00:00",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00+00:00",
]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_words_of_a_customers_that_read_like_a_time_are_no_error_in_the_trail(zone, acme, platform):
    User.objects.update(time_zone=zone)
    for name in [*BEYOND, "2026-01-01T00:00:00+00:00"]:
        create_server(organization=acme.organization, name=name, pool=acme.pool, actor=SYSTEM)
    inside = {"rules": [{"domains": BEYOND}], "until": BEYOND[0], "told": BEYOND}
    of_acme = {"target": acme.server, "actor": SYSTEM, "organization_id": acme.organization.pk}
    record(act="server.changed", before={**inside, "until": ""}, after={**inside, "told": []}, **of_acme)
    for who in (acme.analyst, platform.superuser):
        client = sign_in(who)
        listing = reverse("admin:core_auditentry_changelist")
        entries = [
            reverse("admin:core_auditentry_change", args=[each.pk]) for each in AuditEntry.objects.order_by("-pk")[:9]
        ]
        history = reverse("admin:servers_server_history", args=[acme.server.pk])
        for url in (listing, reverse("admin:core_auditentry_list_export"), history, *entries):
            assert client.get(url).status_code == 200, url
        exported = client.get(reverse("admin:core_auditentry_export"))
        assert exported.status_code == 200
        # A name is a name, whatever it reads like.
        assert b"2026-01-01T00:00:00+00:00" in exported.content
