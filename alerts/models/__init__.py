from alerts.models.alert import Alert
from alerts.models.channel import Channel
from alerts.models.message import Message
from alerts.models.notice import Notice
from alerts.models.report import Report, ReportOptOut

__all__ = ["Alert", "Channel", "Message", "Notice", "Report", "ReportOptOut"]
