"""`python -m headbox`: the command line, or what one of its commands has become."""

from __future__ import annotations

import os

if "_HEADBOX_SERVE" in os.environ:
    from headbox.cli.service import main
elif "_HEADBOX_WORK" in os.environ:
    from headbox.cli.working import main
else:
    from headbox.cli.main import main

main()
