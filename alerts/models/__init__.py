from alerts.models.alert import Alert
from alerts.models.channel import Channel
from alerts.models.message import Message
from alerts.models.notice import Notice

__all__ = ["Alert", "Channel", "Message", "Notice"]
