from stats.models.counts import (
    AddressCount,
    AddressReasonCount,
    Bucket,
    Count,
    DomainCount,
    LatencyCount,
    PlatformCount,
    PlatformProviderCount,
    ProviderCount,
    ReasonCount,
    SenderCount,
    ServerCount,
    ServerProviderCount,
    SignatureCount,
    ThrottleCount,
)
from stats.models.ledger import Batch, ClosedDay, Day, Event
from stats.models.names import RecipientDomain, Sender, SenderDomain, Signature, Subject
from stats.models.outbox import Consumer, ConsumerMark, OutboxEntry
from stats.models.provider import Provider, ProviderDomain
from stats.models.refusal import RefusalCount
from stats.models.reply_rule import ReplyRule
from stats.models.reported_name import ReportedName
from stats.models.run import RollupRun
from stats.models.source import (
    EventSource,
    SourceActivity,
    SourceCount,
    SourceMapping,
    SourceOutcome,
    SourceSample,
    SourceState,
)
from stats.models.throttle_bucket import ThrottleBucket
from stats.models.throttle_state import ThrottleState
from stats.models.token import IngestToken

__all__ = [
    "AddressCount",
    "AddressReasonCount",
    "Batch",
    "Bucket",
    "ClosedDay",
    "Consumer",
    "ConsumerMark",
    "Count",
    "Day",
    "DomainCount",
    "Event",
    "EventSource",
    "IngestToken",
    "LatencyCount",
    "OutboxEntry",
    "PlatformCount",
    "PlatformProviderCount",
    "Provider",
    "ProviderCount",
    "ProviderDomain",
    "ReasonCount",
    "RecipientDomain",
    "RefusalCount",
    "ReplyRule",
    "ReportedName",
    "RollupRun",
    "Sender",
    "SenderCount",
    "SenderDomain",
    "ServerCount",
    "ServerProviderCount",
    "Signature",
    "SignatureCount",
    "SourceActivity",
    "SourceCount",
    "SourceMapping",
    "SourceOutcome",
    "SourceSample",
    "SourceState",
    "Subject",
    "ThrottleBucket",
    "ThrottleCount",
    "ThrottleState",
]
