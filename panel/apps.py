from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin_apps
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register


class PanelConfig(AppConfig):
    name = "panel"
    verbose_name = "Panel"
    default = True


class SiteConfig(admin_apps.SimpleAdminConfig):
    """Django's admin with our site. Replaces `django.contrib.admin` in INSTALLED_APPS.

    The URLs register the pages: commands, worker and beat, which show none, start in half the time without them.
    """

    default = False
    default_site = "panel.site.PanelSite"

    def ready(self) -> None:
        register(check_dependencies, Tags.admin)
        register(check_pages, Tags.admin)


def load_pages() -> None:
    """Register every page, where none was shown yet."""
    import_module(settings.ROOT_URLCONF)


def check_pages(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check every page, and not only those that are registered so far."""
    load_pages()
    return check_admin_app(app_configs, **kwargs)
