"""placeholder"""
from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Judged:
    kind: str
    confidence: float
    steps: list[float] = field(default_factory=list)
def classify(made: object) -> Judged | None:
    return None
