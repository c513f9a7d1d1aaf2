"""What holds for every algorithm: refusals, and batches that are taken as a whole or not at all."""

from collections.abc import Callable, Sequence

from latchwork.domains.ratelimits.records import ENFORCE, SHADOW, LimitCheck, LimitState

Judge = Callable[[LimitCheck, int], LimitState]
"""The state of a check's counter if this cost, in place of the check's own, were added to it now."""

Pending = dict[tuple[str, str, int], int]
"""Costs that a batch is about to take, by counter."""


def refused(check: LimitCheck, reset_ms: int, retry_ms: int | None) -> LimitState:
    """The state of a check that does not fit; in shadow mode it refuses nobody."""
    return LimitState(check.mode == ENFORCE, 0, reset_ms, True, retry_ms)


def settle(checks: Sequence[LimitCheck], judge: Judge) -> list[LimitState]:
    """The states of a batch, in order, as if it were taken as a whole; takes nothing itself.

    The enforced checks are added one after the other, each on top of those before it. If one of them does
    not fit, none is taken, and those that do answer as if their own cost had not been added. The checks in
    shadow mode come after them, each for itself.
    """
    pending: Pending = {}
    states = {
        ENFORCE: iter(_together([check for check in checks if check.mode == ENFORCE], judge, pending)),
        SHADOW: iter(_each([check for check in checks if check.mode == SHADOW], judge, pending)),
    }
    return [next(states[check.mode]) for check in checks]


def _together(checks: Sequence[LimitCheck], judge: Judge, pending: Pending) -> list[LimitState]:
    befores = []
    states = []
    for check in checks:
        before = pending.get(_counter(check), 0)
        after = pending[_counter(check)] = before + check.cost
        befores.append(before)
        states.append(judge(check, after))
    if not any(state.exceeded for state in states):
        return states
    pending.clear()
    return [
        state if state.exceeded else judge(check, before)
        for check, state, before in zip(checks, states, befores, strict=True)
    ]


def _each(checks: Sequence[LimitCheck], judge: Judge, pending: Pending) -> list[LimitState]:
    states = []
    for check in checks:
        after = pending.get(_counter(check), 0) + check.cost
        states.append(judge(check, after))
        if not states[-1].would_exceed:
            pending[_counter(check)] = after
    return states


def _counter(check: LimitCheck) -> tuple[str, str, int]:
    return (check.key, check.algorithm, check.duration_ms)
