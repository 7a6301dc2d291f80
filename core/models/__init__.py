from core.models.alert import SetAside
from core.models.audit import AuditEntry
from core.models.identity import Identity
from core.models.job import Job
from core.models.key import Key, KeyQuerySet
from core.models.saved_filter import SavedFilter
from core.models.token import ApiToken
from core.models.user import User

__all__ = ["ApiToken", "AuditEntry", "Identity", "Job", "Key", "KeyQuerySet", "SavedFilter", "SetAside", "User"]
