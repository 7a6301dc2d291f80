"""The documentation's examples, pasted into a shell with a real key, against the real web server."""

import http.client
import json
import re
import socket
import subprocess

import pytest

from tools import panel
from tools.panel import ROOT

pytestmark = [pytest.mark.server, pytest.mark.live]

VOLATILE = {"time", "uuid", "id", "ip_pool_id", "api_key", "smtp_key", "created_at", "updated_at"}


class Site:
    """An installation of its own: embedded, in an empty folder, served as `make run` serves it."""

    def __init__(self, sluice: panel.Panel) -> None:
        self.port, self.log = sluice.port, sluice.log
        organization = sluice.manage_json("create_organization", "ACME Inc", "--permalink", "acme")
        server = sluice.manage_json("create_server", "acme", "Marketing Server")
        self.organization, self.key = organization["uuid"], server["api_key"]

    def shell(self, command: str) -> dict:
        """Run a pasted command with our key, organization and port in it."""
        for placeholder, value in (
            ("YOUR_API_KEY", self.key),
            ("org-uuid-123", self.organization),
            ("http://localhost:8000", f"http://127.0.0.1:{self.port}"),
        ):
            command = command.replace(placeholder, value)
        done = subprocess.run(["bash", "-c", f"{command} -sS"], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with panel.running(tmp_path_factory.mktemp("site"), static=False) as sluice:
        yield Site(sluice)


def examples(page: str) -> list[tuple[str, dict]]:
    """Return (command, answer) of each of the dialect's curl commands on a page that is followed by its answer."""
    blocks = re.findall(
        r"```bash\n(curl [^`]*?/api/v1/.*?)```\s+```json\n(.*?)```", (ROOT / page).read_text(), re.DOTALL
    )
    return [(command.strip(), json.loads(answer)) for command, answer in blocks]


def masked(value):
    """Return an answer with what differs from run to run replaced by its type."""
    if isinstance(value, dict):
        return {key: type(each).__name__ if key in VOLATILE else masked(each) for key, each in value.items()}
    return [masked(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("page", "endpoints"), [("README.md", 2), ("docs/postal.md", 9)])
def test_a_pages_examples_answer_as_they_say(page, endpoints, tmp_path):
    with panel.running(tmp_path, static=False) as sluice:
        run_examples(Site(sluice), page, endpoints)


def run_examples(site, page, endpoints):
    documented = examples(page)
    assert len({re.search(r"/api/v1/([\w/-]+)", command).group(1) for command, _ in documented}) == endpoints
    for command, answer in documented:
        given = site.shell(command)
        assert masked(given) == masked(answer), command
        assert list(given) == list(answer)


def raw(site, *, headers: dict[str, str], body: bytes = b"", path: str = "/api/v1/servers/list") -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    try:
        connection.putrequest("POST", path)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


JSON = {"Content-Type": "application/json"}


def test_a_chunked_body_is_read(site):
    body = json.dumps({"organization_uuid": site.organization, "name": 5}).encode()
    headers = JSON | {"Transfer-Encoding": "chunked"}
    status, answer = raw(site, headers=headers, body=chunked(body[:7], body[7:]), path="/api/v1/servers/create")
    assert (status, answer["data"]) == (200, {"message": "name is invalid"})


def test_a_large_body_is_refused_and_the_answer_can_be_read(site):
    large = b"x" * 3 * 1024 * 1024
    for headers, body in (
        ({"Content-Length": str(len(large))}, large),
        ({"Transfer-Encoding": "chunked"}, chunked(large)),
    ):
        status, answer = raw(site, headers=JSON | headers, body=body, path="/api/v1/servers/create")
        assert (status, answer["status"], answer["data"]["code"]) == (413, "error", "RequestTooLarge")


def test_a_broken_chunk_is_refused(site):
    headers = JSON | {"Transfer-Encoding": "chunked"}
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    connection.putrequest("POST", "/api/v1/servers/create")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(b"zz\r\nnonsense")
    connection.sock.shutdown(socket.SHUT_WR)
    with connection.getresponse() as response:
        status, answer = response.status, json.loads(response.read())
    connection.close()
    assert (status, answer["status"]) == (200, "parameter-error")
    assert answer["data"] == {"message": "The request's body ended early"}


def test_unknown_urls_answer_in_the_dialect(site):
    status, answer = raw(site, headers={"Content-Length": "0"}, path="/api/v1/nowhere")
    assert (status, answer["status"], answer["data"]["code"]) == (404, "error", "NotFound")


def test_nothing_crashed(site):
    assert "Traceback" not in site.log.read_text()
