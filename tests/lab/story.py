"""What a scenario tells: lines for the operator, and bounds that hold or do not."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound of a scenario with what was found."""

    sentence: str
    found: str
    holds: bool


@dataclass(slots=True)
class Story:
    """The lines and bounds of one run; `figures` are its numbers by name."""

    lines: list[str] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def tell(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)

    def expect(self, sentence: str, found: object, *, holds: bool) -> None:
        """Add a bound."""
        self.bounds.append(Bound(sentence, str(found), holds))

    @property
    def holds(self) -> bool:
        return all(bound.holds for bound in self.bounds)

    def text(self) -> str:
        """Return everything as text."""
        told = [f"  {line}" for line in self.lines]
        judged = [f"  {'ok    ' if each.holds else 'MISSED'} {each.sentence}: {each.found}" for each in self.bounds]
        return "\n".join([*told, *judged])
