"""Everything under /api/v1/."""

from django.urls import path

from api.postal import domains, events, ip_pools, organizations, sending, servers

urlpatterns = [
    path("servers/create", servers.CreateServer.as_view(), name="servers-create"),
    path("servers/list", servers.ListServers.as_view(), name="servers-list"),
    path("servers/show", servers.ShowServer.as_view(), name="servers-show"),
    path("servers/email-stats", servers.EmailStats.as_view(), name="servers-email-stats"),
    path("servers/update-mode", servers.UpdateMode.as_view(), name="servers-update-mode"),
    path("servers/delete", servers.DeleteServer.as_view(), name="servers-delete"),
    path("servers/ip_pools", ip_pools.ListIPPools.as_view(), name="ip-pools-list"),
    path("servers/ip_pools/create", ip_pools.CreateIPPool.as_view(), name="ip-pools-create"),
    path("servers/ip_pools/least_used", ip_pools.LeastUsedIPPool.as_view(), name="ip-pools-least-used"),
    path("servers/ip_addresses", sending.ListIPAddresses.as_view(), name="servers-ip-addresses"),
    path("servers/email-stats-breakdown", sending.EmailStatsBreakdown.as_view(), name="servers-email-stats-breakdown"),
    path("organizations/list", organizations.ListOrganizations.as_view(), name="organizations-list"),
    path("organizations/show", organizations.ShowOrganization.as_view(), name="organizations-show"),
    path("organizations/statistics", organizations.OrganizationStatistics.as_view(), name="organizations-statistics"),
    path("organizations/ip_allocation", organizations.IPAllocation.as_view(), name="organizations-ip-allocation"),
    path("domains/list", domains.ListDomains.as_view(), name="domains-list"),
    path("domains/create", domains.CreateDomain.as_view(), name="domains-create"),
    path("domains/delete", domains.DeleteDomain.as_view(), name="domains-delete"),
    path("domains/delete/<str:name>", domains.DeleteDomain.as_view(), name="domains-delete-named"),
    path("domains/verify", domains.VerifyDomain.as_view(), name="domains-verify"),
    path("domains/dns_records", domains.ShowDNSRecords.as_view(), name="domains-dns-records"),
    path("events", events.Events.as_view(), name="events"),
]
