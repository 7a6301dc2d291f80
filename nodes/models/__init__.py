from nodes.models.node import Node, NodeAddress, NodeReport
from nodes.models.revision import NodePolicy, PolicyText, Publication, Revision, RevisionPolicy

__all__ = [
    "Node",
    "NodeAddress",
    "NodePolicy",
    "NodeReport",
    "PolicyText",
    "Publication",
    "Revision",
    "RevisionPolicy",
]
