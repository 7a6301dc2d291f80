"""Holding every answer that a test sees to the OpenAPI document."""

import re
from functools import cache
from typing import Any

import jsonschema_rs
from django.urls import include, path
from drf_spectacular.generators import SchemaGenerator

from tests.api import answers


@cache
def document() -> dict[str, Any]:
    """Return the dialect's part of the OpenAPI document as it is served."""
    patterns = [path("api/v1/", include("api.postal.urls"))]
    return SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)


@cache
def validator(
    template: str, method: str, status: int, *, with_formats: bool = True
) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of an operation's answer; without formats, uuids may be placeholders."""
    operations = document()["paths"][template]
    # PUT and PATCH are tolerated as POST; a verb that is refused is refused alike everywhere.
    operation = operations.get(method.lower()) or operations.get("post")
    return answers.validator(operation, status, document()["components"], with_formats=with_formats)


@cache
def template_of(url: str) -> str | None:
    """Return the documented path that this is an instance of."""
    for template in document()["paths"]:
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), url):
            return template
    return None


def assert_documented(url: str, method: str, status: int, envelope: dict[str, Any]) -> None:
    """Fail where an answer is not what the document promises."""
    template = template_of(url.partition("?")[0])
    if template is None:
        assert status == 404, f"{url} is not documented"
        return
    validator(template, method, status).validate(envelope)
