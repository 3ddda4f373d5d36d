"""`python -m headbox.cli`: how `serve` starts its two processes."""

from __future__ import annotations

from headbox.cli.main import main

if __name__ == "__main__":
    main()
