"""What goes wrong on a page of the panel keeps the panel's frame, for people who are signed in."""

import pytest
from django.test import Client
from django.urls import reverse

from panel.pages.servers import ServerAdmin
from tests.panel.conftest import sign_in

FRAME = 'id="nav-sidebar'


def is_framed(response):
    page = response.content.decode()
    return "Audit trail" in page and reverse("admin:index") in page


@pytest.mark.parametrize(
    ("path", "status", "heading"),
    [
        ("/admin/nothing/at/all/", 404, "Not found"),
        ("/admin/servers/server/?password__regex=a", 400, "Bad request"),
        ("/admin/core/user/", 403, "Not allowed"),
    ],
)
def test_it_keeps_the_frame(path, status, heading, acme, platform):
    response = sign_in(acme.owner).get(path)
    assert response.status_code == status
    assert is_framed(response)
    assert heading in response.content.decode()


def test_a_crash_keeps_it_too_and_tells_the_requests_id(acme, platform, monkeypatch):
    monkeypatch.setattr(ServerAdmin, "summary_of", lambda *args: 1 / 0)
    client = sign_in(acme.owner)
    client.raise_request_exception = False
    response = client.get(reverse("admin:servers_server_change", args=[acme.server.pk]))
    assert response.status_code == 500
    assert is_framed(response)
    assert response.headers["X-Request-ID"] in response.content.decode()


def test_nobody_else_gets_the_frame(acme, platform):
    assert not is_framed(Client().get("/nothing/"))
    assert not is_framed(sign_in(acme.owner).get("/nothing/"))
    assert Client().get("/admin/core/user/").status_code == 302


def test_where_the_frame_fails_the_bare_page_is_there(acme, platform, monkeypatch):
    from panel import error_pages

    monkeypatch.setattr(error_pages.admin.site, "each_context", lambda request: 1 / 0)
    response = sign_in(acme.owner).get("/admin/nothing/at/all/")
    assert (response.status_code, b"There is no page at this address." in response.content) == (404, True)


def test_a_form_of_before_a_sign_in_says_that_nothing_was_saved(acme, platform):
    person = sign_in(acme.owner)
    person.handler.enforce_csrf_checks = True
    address = reverse("admin:servers_server_change", args=[acme.server.pk])
    for client, framed in ((person, True), (Client(enforce_csrf_checks=True), False)):
        response = client.post(address, {"name": "Typed for long", "csrfmiddlewaretoken": "a" * 64})
        assert (response.status_code, is_framed(response)) == (403, framed)
        text = " ".join(response.content.decode().split())
        assert "You signed in or out after this page was opened" in text
        assert "Not saved" in text


def test_a_form_that_is_sent_after_the_session_ended_says_so_at_the_sign_in(acme, platform):
    client = sign_in(acme.owner)
    client.session.flush()
    address = reverse("admin:servers_server_change", args=[acme.server.pk])
    response = client.post(address, {"name": "Typed for long"}, follow=True)
    assert response.redirect_chain == [(f"{reverse('admin:login')}?next={address}", 302)]
    assert "so what you sent was not saved" in response.content.decode()
    # Who only looks, or signs out, has sent nothing.
    for answer in (Client().get(address, follow=True), Client().post(reverse("admin:logout"), follow=True)):
        assert "was not saved" not in answer.content.decode()
