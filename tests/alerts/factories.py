"""Rows of alerts."""

import datetime

import factory
from factory.django import DjangoModelFactory

from alerts.models import Alert, Channel, Message, Notice
from core.encryption import encrypt
from tests.factories import A_MOMENT


class AlertFactory(DjangoModelFactory):
    class Meta:
        model = Alert

    condition = "domain_dns"
    key = factory.Sequence("domain_dns:/{}".format)
    level = "bad"
    text = factory.Sequence("d{}.example fails its DNS checks".format)
    url = "/admin/servers/domain/"
    since = A_MOMENT
    began_at = A_MOMENT


class ChannelFactory(DjangoModelFactory):
    class Meta:
        model = Channel

    name = factory.Sequence("Channel {}".format)
    kind = "email"
    sealed_target = factory.LazyFunction(lambda: encrypt("ops@example.com"))
    shown_target = "ops@example.com"
    confirmed_at = A_MOMENT


class MessageFactory(DjangoModelFactory):
    class Meta:
        model = Message

    channel = factory.SubFactory(ChannelFactory)
    subject = "Alert"
    body = "Alert"
    created_at = due_at = A_MOMENT
    until = A_MOMENT + datetime.timedelta(days=3)


class NoticeFactory(DjangoModelFactory):
    class Meta:
        model = Notice

    alert = factory.SubFactory(AlertFactory)
    channel = factory.SubFactory(ChannelFactory)
    what = "began"
    level = "bad"
