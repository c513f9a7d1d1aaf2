"""On PostgreSQL a transaction sees and writes the rows of one workspace, or says that it is for all.

The policies are the second half; see `second_0016`.
"""

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Nothing yet, but that no older node can start from now on."""
