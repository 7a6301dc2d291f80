"""Everything under /ga/api/v3/eng/."""

from api.greenarrow.ip_addresses import IPAddresses
from api.greenarrow.relay_servers import RelayServers
from api.greenarrow.routers import GreenArrowRouter
from api.greenarrow.routing_rules import RoutingRules
from api.greenarrow.throttle_programs import ThrottlePrograms
from api.greenarrow.throttles import ThrottlesInBackoff
from api.greenarrow.throttling_rules import AddressRules, TemplateRules
from api.greenarrow.throttling_templates import ThrottlingTemplates
from api.greenarrow.virtual_mtas import VirtualMTAs

router = GreenArrowRouter()
router.add("ip_addresses", IPAddresses)
router.add("ip_addresses/<record_id:owner_id>/throttling_rules", AddressRules)
router.add("throttles_in_backoff", ThrottlesInBackoff)
router.add("throttling_templates", ThrottlingTemplates)
router.add("throttling_templates/<record_id:owner_id>/throttling_rules", TemplateRules)
router.add("throttle_programs", ThrottlePrograms)
router.add("virtual_mtas", VirtualMTAs)
router.add("relay_servers", RelayServers)
router.add("routing_rules", RoutingRules)

urlpatterns = router.urls
