"""Throttling templates."""

from typing import Any

from rest_framework.request import Request

from api.greenarrow import schemas, shapes
from api.greenarrow.openapi import USED_BY, Operation, listing
from api.greenarrow.pages import Rows, UsedBy, asked
from api.greenarrow.views import GreenArrowView
from core.errors import NotFound
from throttling import templates, used_by
from throttling.models import ThrottlingTemplate

ROOT = "throttling_template"


def _template(template_id: int) -> ThrottlingTemplate:
    template = ThrottlingTemplate.objects.select_related("rules").filter(pk=template_id).first()
    if template is None:
        raise NotFound("The throttling template could not be found")
    return template


class ThrottlingTemplates(GreenArrowView):
    """GET and POST /throttling_templates"""

    operations = {
        "get": listing("throttling_templates", schemas.LIST_ROW),
        "post": Operation(data={ROOT: schemas.THROTTLING_TEMPLATE}, root=ROOT, body=schemas.THROTTLING_TEMPLATE_NEW),
    }

    def get(self, request: Request) -> dict[str, Any]:
        """List ids and names."""
        return asked(request).answer("throttling_templates", Rows(ThrottlingTemplate.objects.all(), shapes.list_row))

    def post(self, request: Request) -> dict[str, Any]:
        """Make a template."""
        template = templates.create(self.payload(ROOT), actor=self.actor)
        return {ROOT: shapes.throttling_template(_template(template.pk))}


class SingleThrottlingTemplate(GreenArrowView):
    """GET, PUT and DELETE /throttling_templates/{id}"""

    operations = {
        "get": Operation(data={ROOT: schemas.THROTTLING_TEMPLATE}),
        "put": Operation(data={ROOT: schemas.THROTTLING_TEMPLATE}, root=ROOT, body=schemas.THROTTLING_TEMPLATE_CHANGE),
        "delete": Operation(data={}),
    }

    def get(self, request: Request, template_id: int) -> dict[str, Any]:
        """Show a template."""
        return {ROOT: shapes.throttling_template(_template(template_id))}

    def put(self, request: Request, template_id: int) -> dict[str, Any]:
        """Change what is given."""
        templates.update(template_id, self.payload(ROOT), actor=self.actor)
        return {ROOT: shapes.throttling_template(_template(template_id))}

    def delete(self, request: Request, template_id: int) -> dict[str, Any]:
        """Delete a template that no address uses."""
        templates.delete(template_id, actor=self.actor)
        return {}


class ThrottlingTemplateUsedBy(GreenArrowView):
    """GET /throttling_templates/{id}/used_by"""

    operations = {"get": USED_BY}

    def get(self, request: Request, template_id: int) -> dict[str, Any]:
        """List the addresses that inherit from it."""
        return asked(request).answer("used_by", UsedBy(used_by.of_template(_template(template_id))))
