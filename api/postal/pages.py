"""The two documents that the dialect is made of, each with its own words for a parameter that is missing or wrong."""

from dataclasses import dataclass

from api.postal.renderers import PostalRenderer, ip_pools_renderer, renderer


@dataclass(frozen=True, slots=True)
class Page:
    """How one document speaks of parameters: sentences with `{name}` and `{kind}` ("a string") in them."""

    renderer: PostalRenderer
    missing: str
    wrong: str


SERVERS = Page(renderer, missing="{name} is required", wrong="{name} is invalid")
IP_POOLS = Page(
    ip_pools_renderer,
    missing="Missing required parameter '{name}'",
    wrong="Invalid '{name}' parameter (must be {kind})",
)
