"""`webhooks/…`: the webhooks of the key's server, and their deliveries. Postal has no such endpoints; these are ours."""

from django.db.models import F
from django.db.models.functions import Coalesce

from api.postal import parameters, serializers
from api.postal.problems import DISABLED_WEBHOOK, INVALID_DELIVERY, INVALID_WEBHOOK, refuse
from api.postal.views import Given, PostalViewSet, changes, one_of, reads
from core.errors import NotFound
from servers.access import Caller
from servers.models import Webhook
from webhooks import deliveries
from webhooks.models import Delivery
from webhooks.tasks import request_delivery


class WebhookViewSet(PostalViewSet):
    """Webhooks of the key's server."""

    tag = "Postal: webhooks"

    @reads("list", answers={"webhooks": serializers.Webhook(many=True)})
    def list(self, caller: Caller, given: Given) -> object:
        """The webhooks of the key's server, and how their receivers answer."""
        # One that has not been called has no circuit.
        rows = Webhook.objects.filter(server_id=caller.server_id).annotate(
            consecutive_failures=Coalesce("circuit__failures", 0),
            held_back_since=F("circuit__opened_at"),
            dropped_deliveries=Coalesce("circuit__dropped", 0),
        )
        return {"webhooks": rows.order_by("pk")}

    @reads(
        "deliveries",
        answers={"deliveries": serializers.Delivery(many=True)},
        takes=parameters.ListDeliveries,
        errors=(INVALID_WEBHOOK, INVALID_DELIVERY),
    )
    def deliveries(self, caller: Caller, given: Given) -> object:
        """The deliveries of the key's server, newest first; `before` goes on where an answer ended."""
        rows = Delivery.objects.filter(server_id=caller.server_id).select_related("webhook").defer("body")
        if given["webhook_id"] is not None:
            own = Webhook.objects.filter(server_id=caller.server_id)
            rows = rows.filter(webhook=one_of(own, INVALID_WEBHOOK, uuid=given["webhook_id"]))
        if given["status"] is not None:
            rows = rows.filter(state=parameters.DELIVERY_STATES[given["status"]])
        if given["before"] is not None:
            rows = rows.filter(pk__lt=_delivery(caller, given["before"]).pk)
        return {"deliveries": rows.order_by("-pk")[: given["limit"]]}

    @changes(
        "resend",
        answers={"delivery": serializers.Delivery()},
        takes=parameters.ResendDelivery,
        errors=(INVALID_DELIVERY, DISABLED_WEBHOOK),
    )
    def resend(self, caller: Caller, given: Given) -> object:
        """Make a delivery due now, whatever became of it: the same body with the same uuid."""
        try:
            sent = deliveries.send_again(
                delivery=_delivery(caller, given["delivery_id"]), at=self.now, actor=caller.actor
            )
        except NotFound:
            # Its time was over meanwhile.
            raise refuse(INVALID_DELIVERY) from None
        request_delivery()
        return {"delivery": sent}


def _delivery(caller: Caller, uuid: str) -> Delivery:
    return one_of(Delivery.objects.filter(server_id=caller.server_id), INVALID_DELIVERY, uuid=uuid)
