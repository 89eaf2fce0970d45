"""`python -m snnport` is `snnport`."""

from __future__ import annotations

from snnport.cli import main

if __name__ == "__main__":
    main()
