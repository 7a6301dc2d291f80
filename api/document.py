"""`/api/schema/`: the OpenAPI document, generated once per process.

It is the same for everybody and changes with the release alone; making it costs half a second of processor.
"""

import functools
import hashlib
import threading
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer

# After another release, whoever holds it asks again within so many seconds.
HELD = 300
_making = threading.Lock()


@dataclass(frozen=True, slots=True)
class Rendered:
    """The document in one form, and what names this very text."""

    content: bytes
    content_type: str
    etag: str


@require_safe
@vary_on_headers("Accept")
def schema(request: HttpRequest) -> HttpResponse:
    """Answer with the document: YAML, or JSON where the client prefers it or says `?format=json`."""
    asked = request.GET.get("format") or request.get_preferred_type(["application/yaml", "application/json"])
    with _making:
        # Many who ask at once wait for one that makes it.
        rendered = _rendered(is_json=asked in ("json", "application/json"))
    response = HttpResponse(rendered.content, content_type=rendered.content_type, headers={"ETag": rendered.etag})
    patch_cache_control(response, public=True, max_age=HELD)
    return get_conditional_response(request, etag=rendered.etag, response=response) or response


@functools.cache
def _rendered(*, is_json: bool) -> Rendered:
    renderer = OpenApiJsonRenderer() if is_json else OpenApiYamlRenderer()
    content: bytes = renderer.render(_document(), renderer_context={})
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Rendered(content, f"{renderer.media_type}; charset=utf-8", etag)


@functools.cache
def _document() -> dict[str, object]:
    document: dict[str, object] = SchemaGenerator().get_schema(request=None, public=True)
    return document
