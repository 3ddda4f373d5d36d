"""`python -m headbox`: the command line."""

from headbox.cli.main import main

main()
