"""Access: permissions, the roles that bundle them, and the keys that are given either.

Whatever changes here is in force for every key that it concerns with the next verification.
"""

from latchwork.domains.access.keys import KeyAccess
from latchwork.domains.access.permissions import Permissions
from latchwork.domains.access.roles import Roles

__all__ = ["KeyAccess", "Permissions", "Roles"]
