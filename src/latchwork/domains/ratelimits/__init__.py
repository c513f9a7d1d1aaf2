"""Rate limits: how much of something may be taken in how much time.

A limit belongs to a key or an identity (a named rule) or to an identifier of a namespace, where overrides may
replace it. Counters behind a port hold what was taken; three algorithms say what that means. The algorithms
are pure and exact, so that every adapter answers alike.
"""

from latchwork.domains.ratelimits.administration import Administration
from latchwork.domains.ratelimits.faults import (
    NamespaceGone,
    NamespaceNotFound,
    NamespaceTaken,
    OverrideNotFound,
)
from latchwork.domains.ratelimits.limiter import LimitAnswer, LimitAsked, Limiter, LimitRequest
from latchwork.domains.ratelimits.namespaces import Namespaces
from latchwork.domains.ratelimits.overrides import OverrideMatcher
from latchwork.domains.ratelimits.ports import Counters, Done, LocalCounters, SharedCounters, Sharing
from latchwork.domains.ratelimits.records import (
    ENFORCE,
    MOVING_WINDOW,
    SHADOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    Counter,
    Held,
    LimitCheck,
    LimitRule,
    LimitState,
    Mode,
    Namespace,
    Override,
    counter_key,
    limit_facts,
)
from latchwork.domains.ratelimits.service import Overrides
from latchwork.domains.ratelimits.standby import Standby
from latchwork.domains.ratelimits.tally import LocalTally, SharedTally, Tally

__all__ = [
    "ENFORCE",
    "MOVING_WINDOW",
    "SHADOW",
    "SLIDING_WINDOW",
    "TOKEN_BUCKET",
    "Administration",
    "Algorithm",
    "Counter",
    "Counters",
    "Done",
    "Held",
    "LimitAnswer",
    "LimitAsked",
    "LimitCheck",
    "LimitRequest",
    "LimitRule",
    "LimitState",
    "Limiter",
    "LocalCounters",
    "LocalTally",
    "Mode",
    "Namespace",
    "NamespaceGone",
    "NamespaceNotFound",
    "NamespaceTaken",
    "Namespaces",
    "Override",
    "OverrideMatcher",
    "OverrideNotFound",
    "Overrides",
    "SharedCounters",
    "SharedTally",
    "Sharing",
    "Standby",
    "Tally",
    "counter_key",
    "limit_facts",
]
