"""What every part stands on: faults, ids, clock, principal, secrets, SQL engines. Knows no domain."""
