"""unfold's settings. Callbacks are named by path and imported when a page needs them."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse


def _stylesheet(request: HttpRequest) -> str:
    return static("panel/panel.css")


def _dashboard_stylesheet(request: HttpRequest) -> str:
    return static("panel/dashboard.css")


def _logo(request: HttpRequest) -> str:
    return static("panel/logo.svg")


def environment(request: HttpRequest) -> list[str] | None:
    """Return the label beside the menu, which marks installations that are not in production."""
    return None if settings.IS_PRODUCTION else ["Embedded", "info"]


def _script(request: HttpRequest) -> str:
    return static("panel/panel.js")


def _select_labels(request: HttpRequest) -> str:
    return static("panel/select_labels.js")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Sluice",
    "SITE_HEADER": "Sluice",
    "SITE_SUBHEADER": "Mail servers, pools and limits",
    "SITE_ICON": _logo,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _logo}],
    "ENVIRONMENT": "panel.theme.environment",
    "DASHBOARD_CALLBACK": "panel.dashboard.front_page.context",
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "STYLES": [_stylesheet, _dashboard_stylesheet],
    "SCRIPTS": [_script, _select_labels],
    "BORDER_RADIUS": "6px",
    "COLORS": {
        # A calm teal; its 600 and 700 have a contrast above 4.5 with white.
        "primary": {
            "50": "oklch(98.4% .014 190)",
            "100": "oklch(95.3% .035 190)",
            "200": "oklch(91% .06 190)",
            "300": "oklch(84% .09 190)",
            "400": "oklch(74% .11 195)",
            "500": "oklch(62% .105 200)",
            "600": "oklch(51% .09 205)",
            "700": "oklch(44% .078 208)",
            "800": "oklch(38% .065 210)",
            "900": "oklch(33% .055 212)",
            "950": "oklch(24% .045 214)",
        },
    },
    "ACCOUNT": {
        "navigation": [
            {"title": "Your account", "link": lambda request: reverse("admin:account")},
            {"title": "Second factor", "link": lambda request: reverse("admin:second_factor")},
            {"title": "Change password", "link": lambda request: reverse("admin:password_change")},
            {"title": "Help", "link": lambda request: reverse("admin:help")},
            {"title": "API documentation", "link": lambda request: reverse("api-docs")},
        ]
    },
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "show_all_applications": False,
    },
    "COMMAND": {"search_models": False, "show_history": False},
}
