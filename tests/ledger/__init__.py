"""The ledger of requirements: what is required, and which tests hold it."""
