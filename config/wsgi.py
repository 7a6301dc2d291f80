"""The WSGI entry point of the web process."""

import os
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

from config.postgresql import bounds
from panel.apps import load_pages

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class Utf8Request(WSGIRequest):
    """A request whose address is UTF-8, whatever charset the Content-Type names; config.middleware.Encodings reads it.

    Django takes any codec of Python's and decodes the query string by it, before any middleware: one that makes no text
    (`base64`) would be a crash of the server.
    """

    def _set_content_type_params(self, meta: Any) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


bounds.bound(settings.SLUICE_STATEMENT_TIMEOUT)
if settings.SLUICE_OTLP_ENDPOINT:
    from config import tracing

    tracing.start("web")
application = get_wsgi_application()
application.request_class = Utf8Request
# The pages and both APIs, so that the first request waits for none of them.
load_pages()
