"""manage.py create_server"""

import pytest

from core.audit import Actor
from core.encryption import decrypt
from servers.access import authenticate_key
from servers.models import Server
from tests.cast import NOW, make_pool, written_by

pytestmark = pytest.mark.django_db
COMMAND = "create_server"


@pytest.mark.storage
def test_it_works(run, acme):
    pool = make_pool(acme.organization, "Main", "192.0.2.1")
    document = run(COMMAND, "acme", "New Server", "--mode", "Development", "--json").document
    server = Server.objects.get(name="New Server")
    api, smtp = server.credentials.order_by("pk")
    expected = {
        "uuid": str(server.uuid),
        "name": "New Server",
        "permalink": "new-server",
        "mode": "Development",
        "created_at": server.created_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "organization": {"uuid": str(acme.organization.uuid), "name": "ACME Inc", "permalink": "acme"},
        "api_key": decrypt(api.key_ciphertext),
        "smtp_key": decrypt(smtp.key_ciphertext),
        "smtp_user": "acme/new-server",
        "already_exists": False,
        "ip_pool": {"id": pool.pk, "uuid": str(pool.uuid), "name": "Main", "auto_assigned": True},
    }
    assert document == expected
    assert list(document) == list(expected)
    assert authenticate_key(document["api_key"], at=NOW).server_id == server.pk
    assert written_by(Actor.of_command(COMMAND))[0] == ("server.created", "New Server", acme.organization.pk)

    again = run(COMMAND, "acme", "NEW SERVER", "--json").document
    assert again == expected | {"already_exists": True, "ip_pool": expected["ip_pool"] | {"auto_assigned": False}}


def test_a_mode_may_be_written_in_any_case(run, acme):
    assert run(COMMAND, "acme", "A", "--mode", "development", "--json").document["mode"] == "Development"
    document = run(COMMAND, "acme", "B", "--json").document
    assert document["mode"] == "Live"
    # Without a pool that has addresses there is none.
    assert "ip_pool" not in document


def test_it_tells_a_person(run, acme):
    ended = run(COMMAND, "acme", acme.server.name)
    assert ended.stdout.startswith(
        f"The server acme/transactional-server exists already.\n  API key:  {acme.key}\n  SMTP key: "
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nobody", "A"], 'The organization "nobody" could not be found.'),
        (["\udcff", "A"], 'The organization "?" could not be found.'),
        (["acme", ""], "Name is required."),
        (["acme", "x" * 201], "Name is too long (maximum is 200 characters)."),
        (
            ["acme", "A", "--mode", "Dead"],
            "Error: argument --mode: invalid choice: 'Dead' (choose from Live, Development)",
        ),
    ],
)
def test_it_rejects(run, acme, arguments, error):
    ended = run(COMMAND, *arguments, "--json")
    assert ended.stdout == ""
    assert ended.error.replace("'Live', 'Development'", "Live, Development") == error
    assert Server.objects.count() == 1
