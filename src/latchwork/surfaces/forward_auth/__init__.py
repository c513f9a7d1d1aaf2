"""Forward authentication: what a reverse proxy asks before it lets a request through to what is behind it.

The operator names an API in the question, the client brings a key; a status says whether it may pass, and
headers say who it is. There is no root key: the workspace is the one that the named API belongs to.
"""

from latchwork.surfaces.forward_auth.application import ForwardAuth
from latchwork.surfaces.forward_auth.credentials import Credentials
from latchwork.surfaces.forward_auth.openapi import OPENAPI_PATH, PATH, document

__all__ = ["OPENAPI_PATH", "PATH", "Credentials", "ForwardAuth", "document"]
