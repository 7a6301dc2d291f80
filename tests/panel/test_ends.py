"""An end in the last hours of the calendar, or the first, is refused at every form: no page could show it in each time zone."""

import datetime

import pytest
from django.apps import apps
from django.forms import SplitDateTimeField
from django.urls import reverse

from core import ends
from core.errors import Fault
from core.models import User
from tests.panel.conftest import sign_in
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
