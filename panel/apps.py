from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class PanelConfig(AppConfig):
    name = "panel"
    verbose_name = "Panel"
    default = True


class SiteConfig(admin_apps.AdminConfig):
    """Django's admin with our site. Replaces `django.contrib.admin` in INSTALLED_APPS."""

    default = False
    default_site = "panel.site.PanelSite"
