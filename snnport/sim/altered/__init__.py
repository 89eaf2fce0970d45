"""A second, slower executor of programs in which one rule of docs/semantics.md can be another one."""
