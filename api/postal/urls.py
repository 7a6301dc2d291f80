"""Everything under /api/v1/."""

from api.postal import domains, events, ip_pools, organizations, servers, suppressions, webhooks
from api.postal.routers import PostalRouter

router = PostalRouter()
router.register("servers", servers.ServerViewSet)
router.register("servers/ip_pools", ip_pools.IPPoolViewSet)
router.register("organizations", organizations.OrganizationViewSet)
router.register("domains", domains.DomainViewSet)
router.register("suppressions", suppressions.SuppressionViewSet)
router.register("webhooks", webhooks.WebhookViewSet)
router.register("events", events.EventViewSet)

urlpatterns = router.urls
