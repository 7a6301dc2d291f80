"""Help: pages of docs/ within the panel, and which of them tells of which page."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from panel.site_mixin import SiteMixin

# What can be read, in the order of the list beside it.
PAGES = {
    "panel": "The panel",
    "glossary": "Glossary",
    "alerts": "Alerts",
    "closed-loop": "What acts by itself",
    "statistics": "Statistics",
    "replies": "Replies of receivers",
    "suppressions": "Suppressions",
    "webhooks": "Webhooks",
    "nodes": "Nodes",
    "agent": "The node agent",
    "postal": "Postal's API",
    "greenarrow": "GreenArrow's API",
    "operations": "Operations",
}
# Where pages of an app, or of one model, are told of; of the others, "panel".
TOLD_IN = {
    "alerts": "alerts",
    "nodes": "nodes",
    "suppressions": "suppressions",
    "webhooks": "webhooks",
    "servers.webhook": "webhooks",
    "stats": "statistics",
    "stats.replyrule": "replies",
    "throttling.throttleprogram": "closed-loop",
    "throttling.warmupplan": "closed-loop",
    "ippools.addresscap": "closed-loop",
    "ippools.addressdrain": "closed-loop",
    "ippools.warmup": "closed-loop",
}


class Help(SiteMixin):
    """What the panel's site adds to Django's for help."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        return [path("help/", self.admin_view(self.help), name="help"), *super().get_urls()]

    def help(self, request: HttpRequest) -> HttpResponse:
        """Show a page of the documentation; the first where none is asked for."""
        name = request.GET.get("page", "panel")
        if name not in PAGES:
            raise Http404
        text = (settings.BASE_DIR / "docs" / f"{name}.md").read_text(encoding="utf-8")
        context = {
            **self.each_context(request),
            "title": "Help",
            "pages": [(f"?page={each}", title, each == name) for each, title in PAGES.items()],
            "document": rendered(text),
        }
        request.current_app = self.name
        return TemplateResponse(request, "panel/help.html", context)


def url_for(opts: Any) -> str:
    """Return where the pages of a model are told of; None: those of the site."""
    name = "panel" if opts is None else TOLD_IN.get(opts.label_lower) or TOLD_IN.get(opts.app_label) or "panel"
    return f"{reverse('admin:help')}?page={name}"


def rendered(text: str) -> SafeString:
    """Return a document's HTML."""
    tokens = _MARKDOWN.parse(text)
    for position, token in enumerate(tokens):
        match token.type:
            case "heading_open":
                token.attrSet("id", slugify(tokens[position + 1].content))
                token.tag = tokens[position + 2].tag = f"h{min(int(token.tag[1]) + 1, 6)}"
            case "table_open":
                token.attrSet("class", "panel-table")
            case "th_open":
                token.attrSet("scope", "col")
            case "inline":
                token.children = list(_with_links_of_here(token.children or []))
    return mark_safe(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S308 - the renderer escapes


def _with_links_of_here(tokens: list[Token]) -> Iterator[Token]:
    """Yield the parts of a text without pictures and without links into the repository, which is not here."""
    leads_nowhere = False
    for token in tokens:
        if token.type == "link_open":
            target = _target(str(token.attrs["href"]))
            leads_nowhere = target is None
            token.attrs = {"href": target or ""}
            if target is not None and target.startswith("https:"):
                token.attrSet("rel", "noreferrer")
        if token.type == "image" or (leads_nowhere and token.type in ("link_open", "link_close")):
            continue
        yield token


def _target(url: str) -> str | None:
    """Return where a link leads from a page of help; None: into the repository."""
    parts = urlsplit(url)
    name = parts.path.removesuffix(".md")
    if parts.scheme == "https" or (parts.fragment and not parts.path):
        return url
    return f"?page={name}{f'#{parts.fragment}' if parts.fragment else ''}" if name in PAGES else None


def _code(_: RendererHTML, tokens: Sequence[Token], position: int, options: Any, env: Any) -> str:
    return f'<pre tabindex="0">{escape(tokens[position].content.rstrip())}</pre>\n'


def _table(renderer: RendererHTML, tokens: Sequence[Token], position: int, options: Any, env: Any) -> str:
    return f'<div class="panel-scroll" tabindex="0">{renderer.renderToken(tokens, position, options, env)}'


# What looks like markup of a document is text.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_MARKDOWN.add_render_rule("fence", _code)
_MARKDOWN.add_render_rule("code_block", _code)
_MARKDOWN.add_render_rule("table_open", _table)
_MARKDOWN.add_render_rule("table_close", lambda *_: "</table></div>\n")
