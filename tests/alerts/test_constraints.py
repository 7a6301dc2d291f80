"""What the tables of alerts refuse."""

from alerts.models import Report, ReportOptOut
from tests.alerts.factories import AlertFactory, ChannelFactory, MessageFactory, NoticeFactory
from tests.factories import A_MOMENT, OrganizationFactory, UserFactory
from tests.refusals import Refusals

refusals = Refusals("alerts")


@refusals.by("alerts_alert_one_open_of_platform")
def _():
    AlertFactory(key=AlertFactory().key, began_at=None)


@refusals.by("alerts_alert_one_open_of_organization")
def _():
    alert = AlertFactory(organization=OrganizationFactory())
    AlertFactory(organization=alert.organization, key=alert.key)


@refusals.by("alerts_alert_ends_after_it_began")
def _():
    AlertFactory(began_at=None, ended_at=A_MOMENT)


@refusals.by("alerts_channel_has_a_target")
def _():
    ChannelFactory(sealed_target="")


@refusals.by("alerts_channel_kind")
def _():
    ChannelFactory(kind="pigeon")


@refusals.by("alerts_channel_quiet_hours")
def _():
    ChannelFactory(quiet_from=22)


@refusals.by("alerts_channel_digest")
def _():
    ChannelFactory(digest_at=8, quiet_from=22, quiet_until=6)


@refusals.by("alerts_channel_pagerduty_at_once")
def _():
    ChannelFactory(kind="pagerduty", digest_at=8)


@refusals.by("alerts_notice_pending")
def _():
    NoticeFactory(is_pending=True, message=MessageFactory())


@refusals.by("alerts.Message.uuid")
def _():
    MessageFactory(uuid=MessageFactory().uuid)


@refusals.by("alerts_message_due")
def _():
    MessageFactory(state="sent")


@refusals.by("alerts_message_recipient")
def _():
    MessageFactory(channel=None)


@refusals.by("alerts.Message.report")
def _():
    report = Report.objects.create(organization=OrganizationFactory(), user=UserFactory(), week_on=A_MOMENT.date())
    MessageFactory(channel=None, report=report)
    MessageFactory(channel=None, report=report)


@refusals.by("alerts_report_once")
def _():
    Report.objects.create(organization=OrganizationFactory(), user=UserFactory(), week_on=A_MOMENT.date())
    Report.objects.create(**Report.objects.values("organization_id", "user_id", "week_on").get())


@refusals.by("alerts_report_opt_out_once")
def _():
    ReportOptOut.objects.create(organization=OrganizationFactory(), user=UserFactory())
    ReportOptOut.objects.create(**ReportOptOut.objects.values("organization_id", "user_id").get())


@refusals.by("alerts_notice_once")
def _():
    notice = NoticeFactory()
    NoticeFactory(alert=notice.alert, channel=notice.channel)


test_the_database_refuses = refusals.as_test()
