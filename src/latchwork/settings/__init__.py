"""Settings: one frozen tree, read once at the start from flags, the environment and a TOML file.

`LATCHWORK_<NAME>` in the environment, the lower-case name in the file; a group is a `__` in the one
and a table in the other. A flag wins over the environment, the environment over the file, the file
over the default. Whatever is unknown, wrong or a sample secret refuses to start.
"""

from latchwork.settings.kinds import Secret
from latchwork.settings.loading import Loaded, SettingsError, load
from latchwork.settings.tree import (
    AnalyticsSettings,
    Declared,
    EncryptionSettings,
    ForwardAuthSettings,
    LogSettings,
    S3Settings,
    ServerSettings,
    Settings,
    declared,
    is_loopback,
    value_of,
)

__all__ = [
    "AnalyticsSettings",
    "Declared",
    "EncryptionSettings",
    "ForwardAuthSettings",
    "Loaded",
    "LogSettings",
    "S3Settings",
    "Secret",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "declared",
    "is_loopback",
    "load",
    "value_of",
]
