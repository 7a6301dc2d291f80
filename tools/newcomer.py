"""A newcomer's first steps in a fresh installation: sign in, and see an event counted.

`python -m tools.newcomer https://localhost` takes them behind a `docker compose up` in this folder.
"""

import datetime
import http.cookiejar
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

# Seconds until worker and beat have counted an event on a busy machine; they count every five.
_COUNTED_WITHIN = 90
_GREETING = re.compile(r"Sign in as (\S+) with the password (\S+)")


class NotAsPromised(Exception):
    """The installation does not do what its documentation says."""


def credentials(said: str) -> tuple[str, str]:
    """Return the user name and the password in what `up` or `first_operator` printed."""
    greeted = _GREETING.search(said)
    if greeted is None:
        raise NotAsPromised(f"no password was printed:\n{said}")
    return greeted[1], greeted[2]


def sign_in(url: str, username: str, password: str) -> str:
    """Sign in with a browser's requests and return the front page, with its stylesheet."""
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar(_ByHttp()))
    )
    address = f"{url}/admin/login/?next=/admin/"
    [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.open(address).read().decode()))
    form = {"csrfmiddlewaretoken": token, "username": username, "password": password, "next": "/admin/"}
    # As browsers do; Django wants it by HTTPS.
    browser.addheaders = [("Referer", address)]
    with browser.open(address, urllib.parse.urlencode(form).encode()) as answer:
        page: str = answer.read().decode()
        if answer.geturl() != f"{url}/admin/":
            raise NotAsPromised(f"signing in leads to {answer.geturl()}")
    [style, *_] = re.findall(r'href="(/static/[^"]+\.css)"', page)
    browser.open(url + style).close()
    return page


class _ByHttp(http.cookiejar.DefaultCookiePolicy):
    """Returns cookies for HTTPS to plain HTTP too, as browsers do on the loopback."""

    def return_ok_secure(self, cookie: http.cookiejar.Cookie, request: urllib.request.Request) -> bool:
        return True


def count_an_event(url: str, manage: Callable[..., str]) -> int:
    """Report one sent message and return how many the API counts; `manage` runs a command and returns what it prints."""
    manage("create_organization", "ACME Inc", "--permalink", "acme")
    key = json.loads(manage("create_server", "acme", "Mail", "--json"))["api_key"]
    now = datetime.datetime.now(datetime.UTC)
    event = {
        "id": "first",
        "type": "sent",
        "at": now.isoformat(),
        "from": "news@acme.example",
        "to": "reader@gmail.com",
    }
    receipt = _call(url, key, "events", event)
    if receipt["data"]["accepted"] != 1:
        raise NotAsPromised(f"the event is not accepted: {receipt}")
    period = {
        "start_date": (now - datetime.timedelta(days=1)).isoformat(),
        "end_date": (now + datetime.timedelta(days=1)).isoformat(),
    }
    deadline = time.monotonic() + _COUNTED_WITHIN
    while not (sent := _call(url, key, "servers/email-stats", period)["data"]["server"]["sent_emails"]):
        if time.monotonic() > deadline:
            raise NotAsPromised(f"the event is not counted after {_COUNTED_WITHIN} s")
        time.sleep(0.5)
    return int(sent)


def _call(url: str, key: str, path: str, body: dict[str, str]) -> dict[str, Any]:
    headers = {"X-Server-API-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/v1/{path}", json.dumps(body).encode(), headers)  # noqa: S310 - our own address
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def main(url: str) -> int:
    """Take the steps in the installation of compose.yaml that runs here."""

    def manage(*words: str) -> str:
        command = ["docker", "compose", "exec", "-T", "web", "sluice", *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    sign_in(url, *credentials(manage("first_operator")))
    print(f"signed in, {count_an_event(url, manage)} event counted")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
