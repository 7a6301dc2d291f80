"""VirtualMTAs: addresses, relay servers and routing rules in one list, and the choice of the default."""

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from core.references import Reference
from ippools import virtual_mtas
from ippools.models import VirtualMTA
from panel.pages.base import PanelAdmin
from panel.record_actions import ActForm, act, actor_of


@admin.register(VirtualMTA)
class VirtualMTAAdmin(PanelAdmin):
    """VirtualMTAs of all kinds by name. Each is created and changed on the page of its kind."""

    is_added = is_changed = is_deleted = False
    list_display = ["name", "own_page", "redirect", "default", "created_at"]
    list_filter = ["kind", "is_default"]
    list_select_related = ["redirect"]
    search_fields = ["name_key"]
    search_help_text = "Name"
    fields = ["name", "own_page", "redirect", "default"]
    readonly_fields = fields
    actions_detail = ["make_default"]

    @display(description="Default", ordering="is_default", boolean=True)
    def default(self, record: VirtualMTA) -> bool:
        return record.is_default

    @display(description="Page")
    def own_page(self, record: VirtualMTA) -> str:
        url = reverse(f"admin:ippools_{record.kind.replace('_', '')}_change", args=[record.pk])
        return format_html('<a class="text-link" href="{}">{}</a>', url, record.get_kind_display())

    @act(
        title="Make default",
        description="Mail without any other VirtualMTA is sent by it.",
        icon="star",
        fits=lambda record: not record.is_default,
    )
    def make_default(self, request: HttpRequest, record: VirtualMTA, form: ActForm) -> str:
        virtual_mtas.choose_default(virtual_mta=Reference(record.pk), actor=actor_of(request))
        return f"{record} is the default."
