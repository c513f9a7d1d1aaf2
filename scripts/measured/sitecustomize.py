"""What every process does first whose coverage is measured: keep it from standing still when its threads end.

Coverage asks greenlet, in each thread, which greenlet runs, and greenlet has the main thread clean up after each
thread that ended. That calls back Python code of coverage's bookkeeping. Python 3.11 never returns from the first
line of such code, while it is traced, when one more thread ends just then. So the greenlets that threads themselves
are stay alive, a few hundred bytes each: nothing is called back.
"""

import threading
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import TraceFunction

_settrace = threading.settrace
_kept: list[object] = []


def _settrace_keeping(func: "TraceFunction | None") -> None:
    if func is None:
        _settrace(None)
        return

    def begun(frame: FrameType, event: Any, argument: object) -> Any:
        import greenlet

        greenlet._greenlet.enable_optional_cleanup(False)  # which would look for who keeps it, at length
        _kept.append(greenlet.getcurrent())
        return func(frame, event, argument)

    _settrace(begun)


threading.settrace = _settrace_keeping
_settrace_keeping(threading.gettrace())  # what was begun already
