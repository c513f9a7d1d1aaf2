"""Balances, the journal of spends not yet folded into them, and holds."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, Table

from latchwork.kernel.sql.schema import Amount, Id, Millis, Sequence, metadata

balances = Table(
    "credit_balances",
    metadata,
    Column("subject_id", Id, primary_key=True),  # a key or an identity
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("remaining", Amount, nullable=False),  # before the journal's unfolded spends
    Column("refill_amount", Amount),
    Column("refill_day", Integer),
    Column("refilled_at_ms", Millis),
    Column("refill_due_at_ms", Millis),
    Index("ix_credit_balances_refill_due_at_ms", "refill_due_at_ms"),
)

journal = Table(
    "credit_journal",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column(
        "spends", LargeBinary, nullable=False
    ),  # MessagePack map: subject id to amount, negative once folded
)

holds = Table(
    "credit_holds",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("subject_id", Id, nullable=False),  # for whom
    Column("payer_id", Id, nullable=False),  # from whose balance
    Column("other_payer_id", Id),  # and from whose together with it
    Column("amount", Amount, nullable=False),
    Column("expires_at_ms", Millis, nullable=False),
    Index("ix_credit_holds_expires_at_ms", "expires_at_ms"),
)
