"""Throttling templates."""

from typing import Any

from rest_framework.request import Request

from api.greenarrow.pagination import UsedBy, page_request
from api.greenarrow.serializers import (
    ChangedThrottlingTemplateSerializer,
    NewThrottlingTemplateSerializer,
    ReferringSerializer,
    ThrottlingTemplateSerializer,
    page,
)
from api.greenarrow.views import RecordViewSet, action
from throttling import templates, used_by
from throttling.models import ThrottlingTemplate
from throttling.rule_sets import with_rules


class ThrottlingTemplates(RecordViewSet):
    """/throttling_templates"""

    root, plural = "throttling_template", "throttling_templates"
    lookup_url_kwarg = "template_id"
    queryset = ThrottlingTemplate.objects.select_related("rules").prefetch_related(with_rules("rules__rules"))
    acts = templates
    shown = ThrottlingTemplateSerializer
    new, changed = NewThrottlingTemplateSerializer, ChangedThrottlingTemplateSerializer
    answers = {"used_by": page("used_by", ReferringSerializer())}

    @action(detail=True)
    def used_by(self, request: Request, template_id: int) -> dict[str, Any]:
        """List the addresses that inherit from it."""
        return page_request(request).answer("used_by", UsedBy(used_by.of_template(self.record(template_id))))
