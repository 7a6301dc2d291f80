"""`policy`: the wanted policy of a node; with `wait`, held until it changes."""

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api.nodes.views import NodeView
from api.problems import Code, decline
from api.renderers import Answer
from nodes import waiting
from nodes.access import InvalidNodeKey
from nodes.document import Wanted, document_of, wanted_by
from nodes.publishing import publish_if_changed

LONGEST_WAIT = 60


class NodePolicy(NodeView):
    """The node's policy and overlay."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer at once where the node does not have it yet, else when it changes or the time is over."""
        seconds = _seconds(request.query_params.get("wait", ""))
        known = _entity_tags(request.META.get("HTTP_IF_NONE_MATCH", ""))
        try:
            if publish_if_changed(now=self.now, in_request=True):
                self.node.refresh_from_db()
            wanted = wanted_by(self.node, at=self.now)
            if known.isdisjoint({wanted.etag, "*"}):
                return _answer(wanted)
            if not seconds:
                return _unchanged(wanted.etag)
            return self._after_waiting(wanted, seconds)
        except InvalidNodeKey:
            raise decline(Code.WRONG_CREDENTIALS, InvalidNodeKey.default_message) from None

    def _after_waiting(self, wanted: Wanted, seconds: float) -> HttpResponseBase:
        try:
            changed = waiting.until_changed(self.node, wanted, seconds=seconds)
        except waiting.TooMany:
            return _unchanged(wanted.etag, retry_after=settings.SLUICE_NODE_RETRY)
        return _unchanged(wanted.etag) if changed is None else _answer(changed)


def _answer(wanted: Wanted) -> HttpResponseBase:
    return Response(Answer(document_of(wanted)), headers={"ETag": wanted.etag, "Cache-Control": "no-store"})


def _unchanged(etag: str, *, retry_after: int | None = None) -> HttpResponseBase:
    headers = {"ETag": etag, "Cache-Control": "no-store"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return HttpResponse(status=304, headers=headers)


def _entity_tags(header: str) -> set[str]:
    # A proxy that compresses makes tags weak (RFC 9110, 8.8.3); for If-None-Match that is the same.
    return {tag.strip().removeprefix("W/") for tag in header.split(",") if tag.strip()}


def _seconds(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise decline(Code.INVALID, "wait must be a whole number of seconds")
    return min(int(text), LONGEST_WAIT)
