"""Whatever a run writes - logs, database, messages, backup, answers - holds no key that opens anything."""

import gzip
import http.cookiejar
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.faults.client import Client, wait_until
from tests.faults.installation import PASSWORD, Installation, running
from tests.faults.work import some_events

pytestmark = [pytest.mark.server, pytest.mark.live]

WRONG = "a-wrong-password-of-somebody"


@pytest.mark.parametrize("form", ["json", pytest.param("console", marks=pytest.mark.long)])
def test_no_key_is_written_anywhere(tmp_path: Path, form: str) -> None:
    with running(tmp_path, embedded=True, SLUICE_LOG_LEVEL="DEBUG", SLUICE_LOG_FORMAT=form) as installation:
        installation.start_worker()
        secrets, answers = a_full_run(installation)
        installation.sluice.manage("backup", str(tmp_path / "backup.gz"))
    written = everything_under(tmp_path)
    # What was searched is what should be: each door's traces are there.
    for trace, file in {
        "request_finished": "web.log",
        "servers_server": "sluice.sqlite3",
        "Second": "backup.gz",
    }.items():
        assert any(trace.encode() in content for path, content in written.items() if path.name == file), (trace, file)
    kept = json.loads((tmp_path / "var" / "secrets.json").read_text())
    secrets |= {"SECRET_KEY": kept["secret_key"], "SLUICE_ENCRYPTION_KEYS": kept["encryption_key"]}
    for name, secret in secrets.items():
        assert len(secret) > 15, name
        found = [str(path) for path, content in written.items() if secret.encode() in content]
        assert found in ([], [str(tmp_path / "var" / "secrets.json")]), f"{name} stands in {found}"
        assert not [where for where, text in answers.items() if secret in text], name
    pem = [str(path) for path, content in written.items() if b"PRIVATE KEY" in content]
    assert not pem, f"a private key stands in {pem}"


def everything_under(folder: Path) -> dict[Path, bytes]:
    found = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: gzip.decompress(raw) if path.suffix == ".gz" else raw for path, raw in found.items()}


def a_full_run(installation: Installation) -> tuple[dict[str, str], dict[str, str]]:
    """Use every door, rightly and wrongly; return the secrets, and the texts of answers that should hold none."""
    client, answers = installation.client, {}
    given = {"organization_uuid": installation.organization, "name": "Second"}
    created = client.postal("servers/create", given)
    assert created is not None
    made = created.body["data"]["server"]
    ingest = installation.sluice.manage_json("ingest_token", "make", "collector")["key"]
    make_source = ("make", "relay", "--format", "native", "--server", "acme/mail", "--json")
    source = installation.sluice.manage_json("event_source", *make_source)
    node = installation.sluice.manage_json("create_node", "mta1", "--kind", "postfix", "--json")
    secrets = {
        "the first key": client.key,
        "an API key": made["api_key"],
        "an SMTP key": made["smtp_key"],
        "an API token": client.token,
        "an ingest token": ingest,
        "an event source's token": source["token"],
        "a node's key": node["key"],
        "a password": PASSWORD,
        "a wrong password": WRONG,
    }

    def note(name: str, answer: Any) -> None:
        assert answer is not None, name
        answers[name] = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        answers[f"headers of {name}"] = str(answer.headers)

    note("list", client.postal("servers/list"))
    note("show", client.postal("servers/show", {"include_stats": True, "include_detailed_stats": True}))
    note("domain", client.postal("domains/create", {"name": "acme.example"}))
    note("records", client.postal("domains/dns_records", {"name": "acme.example"}))
    note(
        "events", client.ask("POST", "/api/v1/events", some_events(installation, "e", 3), {"X-Server-API-Key": ingest})
    )
    by_source = {"an address": ("/" + source["token"], {}), "a header": ("", {"X-Server-API-Key": source["token"]})}
    for number, (name, (tail, headers)) in enumerate(by_source.items()):
        event = {"id": f"s{number}", "type": "incoming", "at": time.time()}
        note(f"events by {name}", client.ask("POST", f"/api/v1/events{tail}", event, headers))
        assert '"accepted": 1' in answers[f"events by {name}"]
        note(f"broken events by {name}", client.ask("POST", f"/api/v1/events{tail}", "{", headers))
    note("unknown verb", client.ask("GET", f"/api/v1/events/{source['token']}"))
    note("policy", client.ask("GET", "/api/node/v1/policy", headers={"Authorization": f"Bearer {node['key']}"}))
    note("a node's key in an address", client.ask("POST", f"/api/v1/events/{node['key']}", {}))
    # Keys where they do not belong: in the address, in a body that is wrong, as the other dialect's password.
    note("query", client.ask("GET", f"/api/v1/servers/list?key={client.key}&api_key={client.key}"))
    note("wrong mode", client.postal("servers/update-mode", {"mode": "x", "api_key": client.key}))
    note(
        "unknown URL",
        client.ask("GET", f"/api/v1/nothing?token={client.token}", headers={"X-Server-API-Key": client.key}),
    )
    note("broken body", client.ask("POST", "/api/v1/servers/list", client.key, {"X-Server-API-Key": client.key}))
    note("GreenArrow", client.greenarrow("GET", "ip_addresses"))
    note("by password", client.greenarrow("GET", "ip_addresses", password=PASSWORD))
    note("by a wrong one", client.greenarrow("GET", "ip_addresses", password=WRONG))
    note("by a foreign key", client.greenarrow("GET", "ip_addresses", password=made["api_key"]))
    note("schema", client.ask("GET", "/api/schema/"))
    note("metrics", client.ask("GET", "/metrics"))
    note("probe", client.ask("GET", "/readyz"))
    note("deleted", Client(client.url, made["api_key"]).postal("servers/delete"))
    sign_in(client.url, WRONG)
    sign_in(client.url, PASSWORD)

    def is_counted() -> bool:
        answer = client.postal("servers/show", {"include_stats": True})
        return answer is not None and answer.body["data"]["server"]["stats"]["messages_sent_today"] == 3

    wait_until(is_counted, seconds=120, what="the events are counted")
    return secrets, answers


def sign_in(url: str, password: str) -> None:
    """Send the panel's form as a browser does. Whether it can show what comes then is not asked."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    )
    with opener.open(f"{url}/admin/login/") as page:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    assert token
    form = {"csrfmiddlewaretoken": token[1], "username": "operator", "password": password}
    with opener.open(f"{url}/admin/login/", urllib.parse.urlencode(form).encode()) as answer:
        assert answer.status == 200
        assert ("/login/" in answer.url) == (password == WRONG), answer.url
