"""`manage.py demo_receiver`: a customer's receiver of webhooks shows signed deliveries. `make demo` calls it."""

from typing import Any

from django.conf import settings
from django.core.management import CommandError

from config.demo import receiver
from core.commands import PlainCommand
from servers.models import Server
from webhooks.addresses import NotAllowed, check


class Command(PlainCommand):
    help = (
        "Report three events of a server of the demo, and show how a small receiver on this machine gets them as webhooks "
        "and verifies their signatures. The command must be allowed to call it: SLUICE_WEBHOOK_NETWORKS=127.0.0.1/32."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.IS_PRODUCTION:
            raise CommandError("This is a production database (DATABASE_URL is set), and its statistics are no demo's")
        try:
            check([receiver.HOST])
        except NotAllowed:
            raise CommandError(
                "Set SLUICE_WEBHOOK_NETWORKS=127.0.0.1/32 for this command, and for nothing else"
            ) from None
        rows = Server.objects.living().filter(organization__permalink=receiver.OWNER, name=receiver.SERVER)
        server = rows.select_related("organization").first()
        if server is None:
            raise CommandError("There is no demo: run manage.py load_demo first")
        got = receiver.show(server)
        for each in got:
            signed = f"signed by {each.kid}" if each.is_signed else "NOT SIGNED by a published key"
            self.stdout.write(f"  {each.event:22} {each.recipient:34} {signed}")
        if len(got) < len(receiver.REPLIES) or not all(each.is_signed for each in got):
            raise CommandError(
                f"The receiver got {len(got)} of {len(receiver.REPLIES)} deliveries, or some were not signed"
            )
        self.stdout.write(
            f"A receiver of webhooks got {len(got)} deliveries of {server}. The mailbox that does not exist is suppressed;"
            " the deliveries and the suppression are on the server's pages."
        )
