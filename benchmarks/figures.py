"""What a benchmark finds: a value, its goal, and whether it is reached."""

import json
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from benchmarks.harness import ROOT

RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `at` says whether the goal is a floor or a ceiling for `value`."""

    id: str
    what: str
    value: float
    at: Literal["least", "most"]
    goal: float
    unit: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How far the goal is reached: 1 is just, above is better."""
        if self.at == "least":
            return self.value / self.goal
        return self.goal / self.value if self.value else float("inf")

    @property
    def reached(self) -> bool:
        """Whether the goal holds."""
        return self.ratio >= 1


def table(figures: Iterable[Figure]) -> Table:
    """The figures for people."""
    found = Table(title=f"Latchwork on {platform.processor() or platform.machine()}", title_justify="left")
    for heading in ("figure", "what", "measured", "goal", "of goal", "", "beside"):
        found.add_column(heading, justify="right" if heading in {"measured", "goal", "of goal"} else "left")
    for figure in figures:
        sign = "≥" if figure.at == "least" else "≤"
        found.add_row(
            figure.id,
            figure.what,
            f"{figure.value:,.4g} {figure.unit}".strip(),
            f"{sign} {figure.goal:g} {figure.unit}".strip(),
            f"{figure.ratio:.2f}",
            "PASS" if figure.reached else "short",
            _short(figure.beside),
        )
    return found


def show(figures: Iterable[Figure]) -> None:
    """Print the table, as wide as it needs to be where the output is a file."""
    Console(width=None if sys.stdout.isatty() else 180).print(table(figures))


def keep(figures: Iterable[Figure], started: float) -> None:
    """Add one JSON line per figure to this run's file in `benchmarks/results/`."""
    RESULTS.mkdir(exist_ok=True)
    run = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(started))
    with (RESULTS / f"{run}.jsonl").open("a") as file:
        for figure in figures:
            file.write(json.dumps(_line(figure, run)) + "\n")


def _line(figure: Figure, run: str) -> dict[str, Any]:
    return {
        "run": run,
        "figure": figure.id,
        "what": figure.what,
        "value": figure.value,
        "unit": figure.unit,
        "at": figure.at,
        "goal": figure.goal,
        "ratio": figure.ratio,
        "reached": figure.reached,
        "python": platform.python_version(),
        **{f"beside.{name}": value for name, value in figure.beside.items()},
    }


def _short(beside: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in beside.items()
    )
