"""An address that is too long, and a head that cannot be read, are refused in the words of where they lead."""

import pytest

from config.middleware import LONGEST_ADDRESS


@pytest.mark.parametrize("filling", ["path", "query"])
def test_it_is_refused_in_the_dialect(client, filling):
    def url(prefix):
        start = prefix if filling == "path" else f"{prefix}?a="
        return start + "a" * (LONGEST_ADDRESS - len(start) + 1)

    postal = client.get(url("/api/v1/servers/list"))
    assert (postal.status_code, postal.json()["data"]["code"]) == (413, "RequestTooLarge")
    greenarrow = client.get(url("/ga/api/v3/eng/ip_addresses"))
    assert (greenarrow.status_code, greenarrow.json()["error_code"]) == (413, "invalid_request")
    assert client.get(url("/admin/login/")).status_code == 400


@pytest.mark.django_db
def test_one_that_is_long_enough_is_answered(client):
    assert client.get("/admin/login/?next=".ljust(LONGEST_ADDRESS, "a")).status_code == 200


def test_a_malformed_head_is_refused_in_the_dialect(client):
    """Which comes with this header, from the worker of the web process."""
    mark = {"X-Sluice-Malformed": "1"}
    postal = client.get("/api/v1/servers/list", headers=mark)
    assert (postal.status_code, postal.json()["status"]) == (200, "parameter-error")
    greenarrow = client.get("/ga/api/v3/eng/ip_addresses", headers=mark)
    assert (greenarrow.status_code, greenarrow.json()["error_code"]) == (400, "invalid_request")
    page = client.get("/admin/login/", headers=mark)
    assert (page.status_code, page["Content-Type"]) == (400, "text/html; charset=utf-8")
