"""Stopping weekly reports: by the link in them, without signing in, and in one's account."""

import pytest
from django.test import Client
from django.urls import reverse

from alerts import reports
from alerts.models import ReportOptOut
from panel.security_policy import THEME
from tests.panel.conftest import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def link(acme, settings):
    settings.SLUICE_PANEL_URL = "https://panel.example"
    return reports.stop_url(acme.analyst.pk, acme.organization.pk).removeprefix("https://panel.example")


def test_a_person_who_follows_the_link_is_asked_first(acme, link):
    # Programs look at links before people do.
    answer = Client().get(link)
    assert "no more weekly reports of Acme?" in answer.content.decode()
    assert not ReportOptOut.objects.exists()
    answer = Client().post(link)
    assert "You get no more weekly reports of Acme." in answer.content.decode()
    out = ReportOptOut.objects.get()
    assert (out.user, out.organization) == (acme.analyst, acme.organization)


def test_a_mail_program_stops_them_with_one_click(acme, link):
    client = Client(enforce_csrf_checks=True)
    for _ in range(2):
        assert client.post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert ReportOptOut.objects.count() == 1


@pytest.mark.parametrize("change", ["x", ":", "é"])
def test_a_link_that_was_changed_does_nothing(change, acme, link):
    for answer in (Client().get(link + change), Client().post(link + change), Client().post(f"/reports/stop/{change}")):
        assert answer.status_code == 404
        assert "This link is not valid" in answer.content.decode()
        # Without it the theme's scripts do not run, and its menus cover the page.
        assert answer.headers["Content-Security-Policy"] == THEME
    assert not ReportOptOut.objects.exists()


def test_the_link_of_one_who_left_does_nothing(acme, link):
    acme.analyst.memberships.all().delete()
    assert Client().post(link).status_code == 404


def test_it_is_a_setting_of_the_account(acme, globex):
    client, url = sign_in(acme.analyst), reverse("admin:weekly_reports")
    page = client.get(reverse("admin:account")).content.decode()
    assert "Weekly reports" in page
    assert "Globex" not in page
    for do, number in (("stop", 1), ("stop", 1), ("resume", 0)):
        assert client.post(url, {"organization": acme.organization.pk, "do": do}).status_code == 302
        assert ReportOptOut.objects.count() == number
    client.post(url, {"organization": globex.organization.pk, "do": "stop"})
    client.post(url, {"organization": "x", "do": "stop"})
    assert not ReportOptOut.objects.exists()
    assert client.get(url).status_code == 405


def test_the_platforms_staff_have_none(platform):
    assert "Weekly reports" not in sign_in(platform.superuser).get(reverse("admin:account")).content.decode()
