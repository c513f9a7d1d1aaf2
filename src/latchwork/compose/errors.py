"""The catalogue of errors: every fault that any part declares, and the refusals that are none."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import latchwork.surfaces.rpc.refusals  # noqa: F401 - its faults belong into the catalogue
from latchwork.kernel.faults import Fault
from latchwork.surfaces.forward_auth.answers import REFUSALS
from latchwork.surfaces.reference import ErrorKind, Meaning
from latchwork.surfaces.rpc.envelope import STATUSES_WITH_ERRORS
from latchwork.surfaces.rpc.openapi import faults_of
from latchwork.surfaces.rpc.procedures import Family

_REFUSED = "Retry with a key that may pass, or when the header `Retry-After` says."


def error_kinds(families: Sequence[Family[Any]], admission_faults: Sequence[type[Fault]]) -> list[ErrorKind]:
    """Every code with all that it stands for, in the order of the codes."""
    faults = sorted(
        (fault for fault in _all(Fault) if hasattr(fault, "code")),
        key=lambda fault: (fault.code, len(fault.__mro__), fault.__name__),
    )
    answered = _answered(families, admission_faults)
    kinds: dict[str, list[tuple[int, str, Meaning]]] = {}
    for fault in faults:
        told = (
            fault.status,
            fault.title,
            Meaning(_when(fault), vars(fault).get("default_detail", ""), fault.remedy),
        )
        kinds.setdefault(fault.code, []).append(told)
    for outcome, (status, title, code) in REFUSALS.items():
        when = f"Forward authentication refuses a key whose verdict is {outcome.value}."
        kinds.setdefault(code, []).append((status, title, Meaning(when, "", _REFUSED)))
    return [_kind(code, told, answered.get(code, ())) for code, told in sorted(kinds.items())]


def _kind(code: str, told: list[tuple[int, str, Meaning]], operations: Sequence[str]) -> ErrorKind:
    status, title, _ = told[0]
    meanings = tuple(meaning for *_, meaning in told)
    return ErrorKind(code, status, title, meanings, tuple(operations), status in STATUSES_WITH_ERRORS)


def _all(fault: type[Fault]) -> Iterator[type[Fault]]:
    """`fault` and every fault under it that is a part of this program."""
    if fault.__module__.startswith("latchwork."):
        yield fault
        for under in fault.__subclasses__():
            yield from _all(under)


def _when(fault: type[Fault]) -> str:
    return " ".join((inspect.getdoc(fault) or "").split())


def _answered(
    families: Iterable[Family[Any]], admission_faults: Sequence[type[Fault]]
) -> dict[str, list[str]]:
    """The ids of the procedures that answer each code."""
    found: dict[str, list[str]] = {}
    for family in families:
        for procedure in family.procedures:
            for code in {fault.code for fault in faults_of(procedure, admission_faults)}:
                found.setdefault(code, []).append(f"{procedure.family}.{procedure.name}")
    return found
