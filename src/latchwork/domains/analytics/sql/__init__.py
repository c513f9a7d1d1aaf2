"""Users' SQL: ClickHouse's dialect, read into a tree of our own in which nothing can stand that is not allowed.

Whatever is executed is written anew from that tree: no text of the user but string literals reaches an
engine, every table is fenced in by filters that are part of the tree, every name is resolved, every
expression has a type. Because of the types two engines can be made to answer the same.
"""
