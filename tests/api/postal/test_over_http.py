"""The documentation's examples, pasted into a shell with a real key, against the real web server."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[3]
VOLATILE = {"time", "uuid", "id", "ip_pool_id", "api_key", "smtp_key", "created_at", "updated_at"}


class Site:
    """An installation of its own: embedded, in an empty folder, served as `make run` serves it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = kept | {"SLUICE_DATA_DIR": str(folder), "PORT": str(self.port), "WEB_CONCURRENCY": "1"}
        self.manage("migrate", "--verbosity", "0")
        organization = json.loads(self.manage("create_organization", "ACME Inc", "--permalink", "acme", "--json"))
        server = json.loads(self.manage("create_server", "acme", "Marketing Server", "--json"))
        self.organization, self.key = organization["uuid"], server["api_key"]
        self.log = (folder / "web.log").open("wb")
        self.web = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "config.wsgi"],
            cwd=ROOT, env=self.environment, stdout=self.log, stderr=self.log,
        )  # fmt: skip
        self.wait()

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait(self) -> None:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self.web.poll() is None, "the web server ended"
                time.sleep(0.1)
        raise AssertionError("the web server did not answer")

    def stop(self) -> None:
        self.web.terminate()
        self.web.wait(30)
        self.log.close()

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
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.stop()


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
    site = Site(tmp_path)
    try:
        run_examples(site, page, endpoints)
    finally:
        site.stop()


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
    site.log.flush()
    assert "Traceback" not in Path(site.log.name).read_text()
