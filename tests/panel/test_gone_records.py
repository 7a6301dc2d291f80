"""A page of a record that was deleted after it was opened says that the record is gone, to whoever may do the act."""

from django.urls import reverse

from tests.panel.conftest import sign_in
from tests.panel.urls import addresses

# Django's own pages lead to the front page, with a message.
OF_DJANGO = ("_change", "_delete", "_history", "view_on_site")
PLACES = [place.name for place in addresses() if place.has_record and not place.name.endswith(OF_DJANGO)]
NOBODY = "2000000000"


def test_it_is_not_found(acme, globex, platform):
    client = sign_in(platform.superuser)
    found = {}
    for name in PLACES:
        path = reverse(f"admin:{name}", args=[NOBODY])
        found |= {(name, ask.__name__): ask(path) for ask in (client.get, client.post)}
    assert len(found) > 80
    assert {which: answer.status_code for which, answer in found.items() if answer.status_code != 404} == {}
    assert all("may have been deleted" in answer.content.decode() for answer in found.values())
