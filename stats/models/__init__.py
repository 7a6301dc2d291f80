from stats.models.counts import AddressCount, Count, DomainCount, ProviderCount, SenderCount, ServerCount
from stats.models.ledger import Batch, Day, Event
from stats.models.names import RecipientDomain, Sender, SenderDomain, Signature, Subject
from stats.models.provider import Provider, ProviderDomain
from stats.models.refusal import RefusalCount
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
from stats.models.token import IngestToken

__all__ = [
    "AddressCount",
    "Batch",
    "Count",
    "Day",
    "DomainCount",
    "Event",
    "EventSource",
    "IngestToken",
    "Provider",
    "ProviderCount",
    "ProviderDomain",
    "RecipientDomain",
    "RefusalCount",
    "RollupRun",
    "Sender",
    "SenderCount",
    "SenderDomain",
    "ServerCount",
    "Signature",
    "SourceActivity",
    "SourceCount",
    "SourceMapping",
    "SourceOutcome",
    "SourceSample",
    "SourceState",
    "Subject",
]
