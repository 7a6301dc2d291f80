"""The dialects' request class, which has the time of its start."""

from abc import ABC, abstractmethod
from time import perf_counter
from typing import Any, ClassVar

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from api.renderers import STARTED


class DialectRequest(Request):
    """A request that reads the clock once (`now`), for everything that is done about it."""

    def __init__(self, request: HttpRequest, **kwargs: Any) -> None:
        self.now = timezone.now()
        request.META[STARTED] = perf_counter()
        super().__init__(request, **kwargs)


class Authentication(BaseAuthentication, ABC):
    """The base of a dialect's authentication. `challenge` is that of a 401, None where HTTP has none for the dialect's keys."""

    challenge: ClassVar[str | None] = None

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return the user and what proved who it is; None where nobody says who is asking."""
        if not isinstance(request, DialectRequest):
            raise TypeError(f"{type(self).__name__} is for the views of a dialect")
        return self.identify(request)

    def authenticate_header(self, request: Request) -> str | None:
        return self.challenge

    @abstractmethod
    def identify(self, request: DialectRequest) -> tuple[Any, Any] | None:
        """Return the same; raise what refuses."""
