"""`python -m headbox`: the command line, or what `headbox serve` has become."""

from __future__ import annotations

import os

if "_HEADBOX_SERVE" in os.environ:
    from headbox.cli.service import main
else:
    from headbox.cli.main import main

main()
