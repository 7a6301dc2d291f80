"""Whatever stands in the address of whatever page: an answer in words, never a crash."""

import pytest
from django.contrib import admin
from django.urls import reverse

from panel.pages.base import PanelAdmin
from tests.panel.conftest import sign_in
from tests.panel.urls import ARGUMENTS, NO_PAGES, addresses

pytestmark = pytest.mark.live

PAGES = [
    each.name
    for each in addresses()
    if not each.has_record and each.name not in (*ARGUMENTS, *NO_PAGES, "logout", "app_list", "password_reset_confirm")
]
ODD = (
    "page=99999999999999999999&month=0001-01&by=x&sort=password&s=%00%ff",
    "p=-1&o=1.-2.99.x&month=9999-12&q=%00&days=%C2%B2",
    "since=0001-01-01T00:00&until=9999-12-31T23:59&zone=../../etc/passwd&group=domain&server=1e5",
    "since=2026-01-01T00:00&until=2026-01-02T00:00&zone=UTC&grain=hour&group=server&sort=%00&server=99999999999999999999",
    "expires_at=x&until=x&app_label=core&model_name=membership&field_name=user&term=%ED%A0%80&month=%F0%9F%92%A9&all=&e=1&_popup=1&_to_field=password",
)


@pytest.mark.parametrize("odd", ODD)
def test_odd_addresses_are_no_crash(odd, acme, platform):
    client = sign_in(platform.superuser)
    client.raise_request_exception = False
    crashes = [name for name in PAGES if client.get(f"{reverse(f'admin:{name}')}?{odd}").status_code >= 500]
    assert crashes == []


@pytest.mark.storage
def test_a_nul_in_a_filter_is_no_crash(acme, platform, rf):
    """It was one of lists with a filter by state, on PostgreSQL alone."""
    client = sign_in(platform.superuser)
    client.raise_request_exception = False
    request = rf.get("/")
    request.user = platform.superuser
    request.user.is_verified = lambda: True
    tried, crashes = 0, []
    for page in admin.site._registry.values():
        if not isinstance(page, PanelAdmin):
            continue
        specs = page.get_changelist_instance(request).filter_specs
        for name in sorted({each for spec in specs for each in spec.expected_parameters()}):
            tried += 1
            answer = client.get(page.export_url(request, "changelist"), {name: "\0"})
            crashes += [(page, name)] if answer.status_code >= 500 else []
    assert (crashes, tried > 30) == ([], True)
