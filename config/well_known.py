"""`/.well-known/jwks.json`: the public keys with which calls of webhooks are verified."""

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from webhooks import signing

# Seconds that a key set may be held. A new key is published a day before it signs.
HELD = 3600


@require_safe
def key_set(request: HttpRequest) -> JsonResponse:
    """Answer with the platform's published keys (RFC 7517), to anybody."""
    response = JsonResponse(signing.key_set(signing.published(at=timezone.now())))
    patch_cache_control(response, public=True, max_age=HELD)
    return response
