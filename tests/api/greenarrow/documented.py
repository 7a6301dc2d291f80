"""Holding every answer that a test sees to the OpenAPI document."""

import re
from functools import cache
from typing import Any

import jsonschema_rs
from drf_spectacular.generators import SchemaGenerator

from tests.api import answers

PREFIX = "/ga/api/v3/eng/"


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document as it is served."""
    return SchemaGenerator().get_schema(request=None, public=True)


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the dialect's operations by path and verb."""
    return {
        (path, verb): operation
        for path, verbs in document()["paths"].items()
        if path.startswith(PREFIX)
        for verb, operation in verbs.items()
    }


@cache
def path_of(url: str) -> str | None:
    """Return the documented path that this is an instance of."""
    for path in sorted({path for path, _ in operations()}, key=lambda each: each.count("{")):
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[0-9]+", re.escape(path)), url):
            return path
    return None


@cache
def validator(path: str, verb: str, status: int) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of an operation's answer; a verb that is refused is refused alike everywhere."""
    operation = operations().get((path, verb)) or next(
        each for (known, _), each in operations().items() if known == path
    )
    return answers.validator(operation, status, document()["components"])


def assert_documented(url: str, method: str, status: int, envelope: dict[str, Any]) -> None:
    """Fail where an answer is not what the document promises."""
    path = path_of(url.partition("?")[0])
    if path is None:
        assert status == 404, f"{url} is not documented"
        return
    validator(path, method.lower(), status).validate(envelope)
