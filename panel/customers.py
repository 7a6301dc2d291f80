"""The “New customer” page: creates organization, server and keys, and shows once what to hand over."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget

from core.encryption import decrypt
from core.errors import Refused
from ippools.models import IPPool
from panel.forms import errors
from panel.forms.fields import text_input, time_zone_field
from panel.site_mixin import SiteMixin
from panel.viewer import viewer_of
from servers import pools, provisioning
from servers.models import Organization, Server
from servers.provisioning import CreatedServer
from servers.smtp_users import smtp_user_of
from stats.reports.queries import rank_pools

LEAST_USED = "least_used"
NO_POOL = "none"


class CustomerForm(forms.Form):
    """The organization, its first server, and the server's pool."""

    name = forms.CharField(label="Customer", max_length=200, widget=text_input(), help_text="The organization's name.")
    server = forms.CharField(
        label="First server",
        max_length=200,
        widget=text_input(),
        help_text="Such as “Transactional”: what the mail is.",
    )
    mode = forms.ChoiceField(
        choices=Server.Mode.choices,
        initial=Server.Mode.LIVE,
        widget=UnfoldAdminSelectWidget(),
        help_text="A live server sends its mail; a development server holds all of it.",
    )
    pool = forms.ChoiceField(label="IP pool", widget=UnfoldAdminSelectWidget())
    time_zone = time_zone_field()
    # What the act's faults are called, where the form has another word.
    aliases = {"permalink": "name"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shared = IPPool.objects.filter(namespace=None).order_by("name_key")
        pool_field: Any = self.fields["pool"]
        pool_field.choices = [
            (LEAST_USED, "Chosen as by the API: the least used pool"),
            *((str(pool.pk), pool.name) for pool in shared[:500]),
            (NO_POOL, "None for now: live mail is not sent"),
        ]


class Customers(SiteMixin):
    """Mixin of the admin site: the “New customer” page."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [path("customers/new/", self.admin_view(self.new_customer), name="new_customer")]
        return [*own, *super().get_urls()]

    def new_customer(self, request: HttpRequest) -> HttpResponse:
        """Show the form, then the card to hand over, in this response only."""
        if not may_add(self, request):
            raise PermissionDenied
        form = CustomerForm(request.POST or None)
        context = {**self.each_context(request), "title": "New customer", "form": form}
        request.current_app = self.name
        if request.method == "POST" and form.is_valid():
            try:
                organization, created = _create(request, form.cleaned_data)
            except Refused as refusal:
                errors.show(form, refusal)
            else:
                card = hand_over(request, organization, created)
                response = TemplateResponse(request, "panel/hand_over.html", {**context, **card})
                response.headers["Cache-Control"] = "no-store"
                return response
        return TemplateResponse(request, "panel/new_customer.html", context)


def may_add(site: Any, request: HttpRequest) -> bool:
    """Whether the person may make organizations and servers."""
    pages = (site._registry.get(model) for model in (Organization, Server))
    return viewer_of(request).is_platform and all(
        page is not None and page.has_add_permission(request) for page in pages
    )


@transaction.atomic
def _create(request: HttpRequest, given: dict[str, Any]) -> tuple[Organization, CreatedServer]:
    actor = viewer_of(request).actor
    organization = provisioning.create_organization(
        at=timezone.now(), name=given["name"], time_zone=given["time_zone"], actor=actor
    )
    pool = None
    if given["pool"] not in (LEAST_USED, NO_POOL):
        pool = IPPool.objects.filter(pk=given["pool"], namespace=None).first()
        if pool is not None and not pools.pools_of(organization).filter(pk=pool.pk).exists():
            pools.grant_pool(organization=organization, pool=pool, actor=actor)
    created = provisioning.create_server(
        organization=organization,
        name=given["server"],
        mode=given["mode"],
        pool=pool,
        ranked_pool_ids=rank_pools(organization.pk) if given["pool"] == LEAST_USED else [],
        actor=actor,
    )
    return organization, created


def hand_over(request: HttpRequest, organization: Organization, created: CreatedServer) -> dict[str, Any]:
    """Return the values that the customer's programs need, by label, and an example request."""
    server = created.server
    api_key = decrypt(created.api_credential.key_ciphertext)
    url = request.build_absolute_uri("/api/v1/")
    lines = {
        "API URL": url,
        "API key": api_key,
        "SMTP host": settings.SLUICE_SMTP_HOST,
        "SMTP port": str(settings.SLUICE_SMTP_PORT),
        "SMTP user": smtp_user_of(server),
        "SMTP password": decrypt(created.smtp_credential.key_ciphertext),
        "Server UUID": str(server.uuid),
    }
    lines["Try it"] = f"curl -H 'X-Server-API-Key: {api_key}' {url}servers/show"
    return {
        "organization": organization,
        "server": server,
        "lines": lines,
        "all_lines": "\n".join(f"{name}: {value}" for name, value in lines.items()),
        "pool": server.ip_pool,
        "server_url": reverse("admin:servers_server_change", args=[server.pk]),
        "organization_url": reverse("admin:servers_organization_change", args=[organization.pk]),
        "people_url": f"{reverse('admin:servers_membership_add')}?organization={organization.pk}",
    }
