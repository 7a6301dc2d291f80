"""Throttle programs."""

from typing import Any

from rest_framework.request import Request

from api.greenarrow.pagination import UsedBy, page_request
from api.greenarrow.serializers import (
    NewThrottleProgramSerializer,
    ReferringSerializer,
    ThrottleProgramSerializer,
    page,
)
from api.greenarrow.views import RecordViewSet, action
from throttling import programs, used_by
from throttling.models import ThrottleProgram


class ThrottlePrograms(RecordViewSet):
    """/throttle_programs"""

    root, plural = "throttle_program", "throttle_programs"
    lookup_url_kwarg = "program_id"
    queryset = ThrottleProgram.objects.all()
    acts = programs
    shown = ThrottleProgramSerializer
    new = changed = NewThrottleProgramSerializer
    answers = {"used_by": page("used_by", ReferringSerializer())}

    @action(detail=True)
    def used_by(self, request: Request, program_id: int) -> dict[str, Any]:
        """List the addresses and templates with a rule that uses it."""
        return page_request(request).answer("used_by", UsedBy(used_by.of_program(self.record(program_id))))
