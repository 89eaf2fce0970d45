"""The documented, clocked multi-core machine of docs/semantics.md."""
