"""An address that is too long is refused in the words of where it leads."""

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
