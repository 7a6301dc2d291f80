"""Throttle programs."""

from typing import Any

from rest_framework.request import Request

from api.greenarrow import schemas, shapes
from api.greenarrow.openapi import USED_BY, Operation, listing
from api.greenarrow.pages import Rows, UsedBy, asked
from api.greenarrow.views import GreenArrowView
from core.errors import NotFound
from throttling import programs, used_by
from throttling.models import ThrottleProgram

ROOT = "throttle_program"


def _program(program_id: int) -> ThrottleProgram:
    program = ThrottleProgram.objects.filter(pk=program_id).first()
    if program is None:
        raise NotFound("The throttle program could not be found")
    return program


class ThrottlePrograms(GreenArrowView):
    """GET and POST /throttle_programs"""

    operations = {
        "get": listing("throttle_programs", schemas.LIST_ROW),
        "post": Operation(data={ROOT: schemas.THROTTLE_PROGRAM}, root=ROOT, body=schemas.THROTTLE_PROGRAM_NEW),
    }

    def get(self, request: Request) -> dict[str, Any]:
        """List ids and names."""
        return asked(request).answer("throttle_programs", Rows(ThrottleProgram.objects.all(), shapes.list_row))

    def post(self, request: Request) -> dict[str, Any]:
        """Make a program."""
        return {ROOT: shapes.throttle_program(programs.create(self.payload(ROOT), actor=self.actor))}


class SingleThrottleProgram(GreenArrowView):
    """GET, PUT and DELETE /throttle_programs/{id}"""

    operations = {
        "get": Operation(data={ROOT: schemas.THROTTLE_PROGRAM}),
        "put": Operation(data={ROOT: schemas.THROTTLE_PROGRAM}, root=ROOT, body=schemas.THROTTLE_PROGRAM_CHANGE),
        "delete": Operation(data={}),
    }

    def get(self, request: Request, program_id: int) -> dict[str, Any]:
        """Show a program."""
        return {ROOT: shapes.throttle_program(_program(program_id))}

    def put(self, request: Request, program_id: int) -> dict[str, Any]:
        """Change what is given."""
        return {ROOT: shapes.throttle_program(programs.update(program_id, self.payload(ROOT), actor=self.actor))}

    def delete(self, request: Request, program_id: int) -> dict[str, Any]:
        """Delete a program that no rule uses."""
        programs.delete(program_id, actor=self.actor)
        return {}


class ThrottleProgramUsedBy(GreenArrowView):
    """GET /throttle_programs/{id}/used_by"""

    operations = {"get": USED_BY}

    def get(self, request: Request, program_id: int) -> dict[str, Any]:
        """List the addresses and templates with a rule that uses it."""
        return asked(request).answer("used_by", UsedBy(used_by.of_program(_program(program_id))))
