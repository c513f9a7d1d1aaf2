"""A cluster on a virtual clock and a virtual network: one seed is one course of events, faults included."""
