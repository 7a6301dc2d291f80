"""How a sensible request goes wrong: in its values, in its shape, in its bytes, and on its way."""

import copy
import json
import re
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from tests.fuzz.corpus import Seed


class Raw(str):
    """JSON text that no encoder would write: put into the body as it stands."""


ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 250, 251, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**40,
    0.5, -0.0, 1e308, Raw("1e400"), Raw("-1e400"), Raw("NaN"), Raw("Infinity"), Raw("1" * 5000), Raw("0.1e-999"),
    "", " ", "\t\n", "0", "1", "-1", "1.0", "01", "0x10", "١٢", "null", "true", "[]", "x" * 201, "x" * 70_000,
    "\x00", "a\x00b", Raw('"\\ud800"'), Raw('"a\\udfffb"'), "\u202e", "İ", "ß", "ﬁ", "Ａ", "é", "e\u0301", "👩‍👩‍👧",
    "%00", "%s%n", "'; DROP TABLE servers_server; --", "<script>alert(1)</script>", "../../etc/passwd", "=1+1", "{ip_address}",
    "1.1.1.1", "256.1.1.1", "010.0.0.1", "1.1.1", "::1", "1.1.1.1/32", "example.com", "*.example.com", "[*.]com", "*.", "[*.]",
    "a..b", "-a.com", "a" * 64 + ".com", "xn--", "xn--a", "xn--zzzzzz99.com", "bücher.example",
    "例え.テスト", ".", "@", "a@b@c",
    "2025-01-01", "2025-13-45T99:99:99Z", "0000-00-00", "9999-12-31T23:59:59Z", "2025-01-01T00:00:00+99:99", "10000-01-01",
    "00000000-0000-0000-0000-000000000000", "Live", "live", "today", "TODAY", "forever",
    [], {}, [[]], [None], {"": None}, {"id": None}, {"id": 10**30}, {"name": None}, {"id": "1", "name": 1}, ["1.1.1.1"] * 3,
    [1, 2.5, None, {}, []], {"id": {"id": {"id": 1}}},
]  # fmt: skip
NAMES = [
    "id", "name", "uuid", "server_id", "organization_uuid", "ip_pool_id", "domain_id", "page", "page_token", "per_page",
    "params", "include_stats", "rules", "rules_new", "default", "redirect", "__proto__", "\x00", "é", "a" * 3000, "",
]  # fmt: skip
CONTENT_TYPES = [
    None, "application/json", "application/json; charset=utf-16", "application/json; charset=nonsense", "text/plain", "",
    "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=x", "application/xml", "é/ü",
    "application/x-ndjson", "application/json;;;;", "x" * 5000,
]  # fmt: skip
TAILS = ["/", "//", "%00", "%ff", "?a=%ff&a=%00", "/../x", ";x", "%2e%2e"]
# A list is repeated only while it is smaller than this: one repeated inside another would outgrow our memory.
MOST_NODES = 1_000
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "post"]


@dataclass
class Request:
    """The bytes that go out. `break_off`: how many of the body's bytes are sent before we hang up; None: all."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_chunked: bool = False
    break_off: int | None = None


def request(seed: Seed, random: Random, ids: dict[str, list[str]]) -> Request:
    """Make a request out of a seed; about one in eight is left sensible, so that accepted ones are in the mix."""
    oddity = random.random()
    body, query = copy.deepcopy(seed.body), dict(seed.query)
    if oddity > 0.12:
        for _ in range(random.choice([1, 1, 1, 2, 5])):
            body = _mutated(body, random)
            if query and random.random() < 0.5:
                query[random.choice([*query, random.choice(NAMES)])] = _text(random.choice(ODD_VALUES))
    path = re.sub(r"\{(\w+)\}", lambda found: quote(random.choice(ids[found[1]]), safe=""), seed.path)
    text = "" if body is None else _filled(_dumps(body, random), random, ids)
    target = path + ("?" + _filled(urlencode(query, errors="replace"), random, ids) if query else "")
    made = Request(seed.method, target, {"Content-Type": "application/json"}, text.encode("utf-8", "surrogatepass"))
    return random.choice(DISTURBANCES)(made, random) if oddity > 0.5 else made


def _filled(text: str, random: Random, ids: dict[str, list[str]]) -> str:
    for name, values in ids.items():
        for placeholder in (f"{{{name}}}", quote(f"{{{name}}}")):
            text = text.replace(placeholder, random.choice(values))
    return text


def _mutated(value: Any, random: Random) -> Any:
    """Change one node of a tree, picked by walking down at random."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        name = random.choice(list(value))
        match random.randrange(6):
            case 0:
                del value[name]
            case 1:
                value[random.choice(NAMES)] = random.choice(ODD_VALUES)
            case _:
                value[name] = _mutated(value[name], random)
        return value
    if isinstance(value, list) and value and random.random() < 0.85:
        index = random.randrange(len(value))
        match random.randrange(6):
            case 0 if _nodes(value, MOST_NODES) < MOST_NODES:
                return value * random.choice([2, 300])
            case 1:
                value.insert(index, random.choice(ODD_VALUES))
            case _:
                value[index] = _mutated(value[index], random)
        return value
    return copy.deepcopy(random.choice(ODD_VALUES))


def _nodes(value: Any, most: int) -> int:
    """Return how many values a tree holds, or `most` where that is reached."""
    counted, left = 0, [value]
    while left and counted < most:
        each = left.pop()
        counted += 1
        left += each.values() if isinstance(each, dict) else each if isinstance(each, list) else []
    return counted


def _dumps(value: Any, random: Random) -> str:
    match random.randrange(40):
        case 0:
            return "[" * 5_000 + "]" * 5_000
        case 1:
            return '{"a":' * 2_000 + "1" + "}" * 2_000
        case 2:
            return random.choice(
                ["", "{", "null", "nul", "[", '"', "{}{}", "{,}", "[1,]", "\ufeff{}", "//", "'a'", "{'a':1}", "1"]
            )
        case _:
            return _encode(value, random)


def _encode(value: Any, random: Random) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        members = [f"{json.dumps(name)}:{_encode(each, random)}" for name, each in value.items()]
        if members and random.random() < 0.03:
            members.append(random.choice(members))
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_encode(each, random) for each in value) + "]"
    return json.dumps(value, ensure_ascii=random.random() < 0.5)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


def _another_method(made: Request, random: Random) -> Request:
    return replace(made, method=random.choice(METHODS))


def _another_content_type(made: Request, random: Random) -> Request:
    content_type = random.choice(CONTENT_TYPES)
    if content_type is None:
        del made.headers["Content-Type"]
    else:
        made.headers["Content-Type"] = content_type
    return made


def _chunked(made: Request, random: Random) -> Request:
    return replace(made, is_chunked=True)


def _broken_off(made: Request, random: Random) -> Request:
    return replace(made, break_off=random.randrange(len(made.body) + 1))


def _utf_16(made: Request, random: Random) -> Request:
    return replace(made, body=made.body.decode("utf-8", "replace").encode("utf-16"))


def _with_noise(made: Request, random: Random) -> Request:
    position = random.randrange(len(made.body) + 1)
    return replace(made, body=made.body[:position] + random.randbytes(3) + made.body[position:])


def _as_form(made: Request, random: Random) -> Request:
    made.headers["Content-Type"] = "application/x-www-form-urlencoded"
    return replace(made, body=urlencode({"params": made.body.decode("utf-8", "replace")}).encode())


def _odd_header(made: Request, random: Random) -> Request:
    name = random.choice(["Content-Encoding", "Transfer-Encoding", "Accept", "Host", "X-Forwarded-For"])
    made.headers[name] = random.choice(["gzip", "identity", "text/html", "*", "\xe9", "a" * 4000, "127.0.0.1, é", ""])
    return made


def _odd_target(made: Request, random: Random) -> Request:
    return replace(made, target=made.target + random.choice(TAILS))


def _gzip_that_is_none(made: Request, random: Random) -> Request:
    made.headers["Content-Encoding"] = "gzip"
    return replace(made, body=b"\x1f\x8b" + made.body)


def _odd_secret(made: Request, random: Random) -> Request:
    secret = random.choice(["", " ", "x", "\xff" * 20, "a" * 7000, "Basic", "Basic !!!!", "Basic 4pyT", "Bearer x"])
    made.headers[random.choice(["X-Server-API-Key", "Authorization"])] = secret
    return made


# Each changes one thing of the bytes or of the way they are sent.
DISTURBANCES = [
    _another_method, _another_content_type, _chunked, _broken_off, _utf_16, _with_noise, _as_form, _odd_header, _odd_target,
    _gzip_that_is_none, _odd_secret,
]  # fmt: skip
