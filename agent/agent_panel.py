"""The agent's HTTP client for the panel: HTTPS with certificate checks, or plain HTTP on the loopback.

Python 3.9, standard library only.
"""

from __future__ import annotations

import gzip
import ipaddress
import json
import socket
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from urllib.parse import urlsplit

MOST_BYTES = 256 * 1024 * 1024


class Unreachable(Exception):
    """The panel did not answer, or answered that it cannot now; `retry_after` in seconds, where it said so."""

    def __init__(self, message, retry_after=None):
        super().__init__(message)
        self.retry_after = retry_after


class Refused(Exception):
    """The panel answered that it will not."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class TooLarge(Refused):
    """The panel answered that it is more than one request may hold."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the key elsewhere."""

    def redirect_request(self, *_):
        """Follow none."""
        return


def check_url(url):
    """Return why a panel's address is not used; None: it is fine."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return None
    if parts.scheme == "http" and parts.hostname:
        if parts.hostname == "localhost":
            return None
        try:
            if ipaddress.ip_address(parts.hostname).is_loopback:
                return None
        except ValueError:
            pass
        return "the panel's address must start with https:// (http:// is for the loopback only)"
    return "the panel's address must be like https://sluice.example.com"


class Panel:
    """Speaks to one panel with one key."""

    def __init__(self, url, key):
        self._url = url.rstrip("/")
        self._key = key
        self._opener = urllib.request.build_opener(
            NoRedirects(),
            urllib.request.ProxyHandler() if urlsplit(url).scheme == "https" else urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        )

    def policy(self, etag=None, wait=0):
        """Return (document, its ETag, seconds until the next request), document None where nothing changed."""
        headers = {"If-None-Match": etag} if etag else {}
        status, answer, body = self._ask(
            "GET", f"/api/node/v1/policy?wait={int(wait)}", headers=headers, timeout=wait + 20
        )
        if status == 304:
            return None, etag, _seconds(answer.get("Retry-After"))
        return _object(body, "revision", "overlay"), answer.get("ETag"), 0

    def suppressions(self, have):
        """Return what changed in suppression lists since what the node has."""
        body = self._ask("POST", "/api/node/v1/suppressions", json.dumps(have).encode(), timeout=60)[2]
        return _object(body, "servers", "lists", "is_complete")

    def report(self, report):
        """Send a report, and return what is wanted now."""
        return _object(self._ask("POST", "/api/node/v1/report", json.dumps(report).encode())[2])

    def events(self, bodies):
        """Send events (JSON texts); return those refused as [(position, code, message)].

        What is more than the panel takes in one request is sent in halves. Sent again after a failure in between, the first
        half counts once.
        """
        try:
            return self._send_events(bodies)
        except TooLarge as error:
            if len(bodies) == 1:
                return [(0, "too_large", str(error))]
        half = len(bodies) // 2
        refused = self.events(bodies[:half])
        return refused + [(half + index, code, message) for index, code, message in self.events(bodies[half:])]

    def _send_events(self, bodies):
        body = gzip.compress(("\n".join(bodies) + "\n").encode("utf-8", "replace"), 1)
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        answer = _object(self._ask("POST", "/api/v1/events", body, headers, timeout=60)[2])
        if answer.get("status") != "success":
            # Postal's dialect says so with status 200.
            is_too_large = isinstance(answer.get("data"), dict) and answer["data"].get("code") == "RequestTooLarge"
            raise (TooLarge if is_too_large else Refused)(200, _sentence(answer))
        return [(each["index"], each.get("code", ""), each.get("message", "")) for each in answer["data"]["refused"]]

    def _ask(self, method, path, body=None, headers=None, timeout=20):
        request = urllib.request.Request(self._url + path, data=body, method=method)
        request.add_header("Authorization", "Bearer " + self._key)
        if body is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with self._opener.open(request, timeout=timeout) as answer:
                return answer.status, answer.headers, answer.read(MOST_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 304:
                    return 304, error.headers, b""
                text = error.read(65536)
                if error.code == 429 or error.code >= 500:
                    raise Unreachable(
                        f"the panel answered {error.code}", _seconds(error.headers.get("Retry-After"))
                    ) from None
                kind = TooLarge if error.code == 413 else Refused
                raise kind(error.code, _refusal(error.code, text)) from None
        except (OSError, HTTPException, socket.timeout) as error:
            raise Unreachable(f"the panel cannot be reached: {error}") from None


def _object(body, *names):
    """Return the object that an answer is, with these members. Raises Unreachable for what another program answered."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found.keys() >= set(names):
        raise Unreachable("the panel cannot be reached: what answers at its address is another program")
    return found


def _refusal(status, text):
    try:
        return f"the panel answered {status}: {_sentence(json.loads(text))}"
    except (ValueError, AttributeError, RecursionError):
        return f"the panel answered {status}"


def _sentence(answer):
    for part in (answer.get("error"), answer.get("data")):
        if isinstance(part, dict) and part.get("message"):
            return str(part["message"])
    return str(answer.get("status", "it refused"))


def _seconds(text):
    return int(text) if text and text.isdigit() else 0
