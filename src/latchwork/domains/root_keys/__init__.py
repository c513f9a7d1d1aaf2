"""Root keys: the keys through which people and programs manage a workspace.

One can do no more than the permissions it holds, and hand on no more than that. They live in the table of keys,
in the operator's own workspace, where no verification can reach them.
"""

from latchwork.domains.root_keys.faults import LastWayIn, RootKeyNotFound
from latchwork.domains.root_keys.records import RootKey, RootKeyChange
from latchwork.domains.root_keys.service import RootKeys

__all__ = ["LastWayIn", "RootKey", "RootKeyChange", "RootKeyNotFound", "RootKeys"]
