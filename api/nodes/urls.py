"""Everything under /api/node/v1/."""

from django.urls import path

from api.nodes import policy, report, suppressions

urlpatterns = [
    path("policy", policy.NodePolicy.as_view(), name="node-policy"),
    path("report", report.NodeReport.as_view(), name="node-report"),
    path("suppressions", suppressions.NodeSuppressions.as_view(), name="node-suppressions"),
]
