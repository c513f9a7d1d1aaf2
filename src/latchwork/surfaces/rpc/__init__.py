"""The RPC surface: `/v2/<family>.<procedure>`, one table of procedures served by one application.

A family file declares its bodies (`bodies`), its procedures (`procedures`) and nothing else; the
application reads, checks, authenticates, calls and renders, and `openapi` documents the same table.
"""
