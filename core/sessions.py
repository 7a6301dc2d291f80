"""Sessions in the database, as Django keeps them, with the statement that each request reads its own by made once."""

from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

from core.compiled import Compiled

# As Django's.
_SHORTEST = 8
_BY_KEY = Compiled(
    (str,), lambda key: Session.objects.filter(session_key=key).values_list("session_data", "expire_date")
)


class SessionStore(db.SessionStore):
    """Django's store; only the reading of a session, and what can be a key, is ours."""

    def load(self) -> dict[str, Any]:
        """Return what the session holds; one that has expired or is unknown holds nothing and loses its key."""
        row = _BY_KEY.first(self.session_key or "")
        if row is None or row[1] <= timezone.now():
            self._session_key = None
            return {}
        return self.decode(row[0])

    def _validate_session_key(self, key: str | None) -> bool:
        """Whether a cookie's text can be a key. Written in octal it can have NUL, which PostgreSQL refuses."""
        return key is not None and len(key) >= _SHORTEST and key.isascii() and key.isalnum()
