"""Selects the compiler for a kind of node."""

from collections.abc import Mapping

from nodes.policy import haraka, kumomta, postfix, powermta
from nodes.policy.compiled import Compiled, Compiler
from nodes.policy.model import Overlay, Policy

COMPILERS: Mapping[str, Compiler] = {
    "haraka": haraka.compile_policy,
    "kumomta": kumomta.compile_policy,
    "postfix": postfix.compile_policy,
    "powermta": powermta.compile_policy,
}


class NoCompiler(Exception):
    """There is no compiler for this kind of node."""


def compile_for(policy: Policy, overlay: Overlay) -> Compiled:
    """Return the compiled policy; raises NoCompiler."""
    compiler = COMPILERS.get(policy.node.kind)
    if compiler is None:
        raise NoCompiler(policy.node.kind)
    return compiler(policy, overlay)
