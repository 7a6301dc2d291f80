from suppressions.models.bounce_count import BounceCount
from suppressions.models.platform_key import PlatformKey
from suppressions.models.suppression import Reason, Suppression, SuppressionQuerySet
from suppressions.models.suppression_list import SuppressionList

__all__ = ["BounceCount", "PlatformKey", "Reason", "Suppression", "SuppressionList", "SuppressionQuerySet"]
