"""`python -m services.cli` is `cutover`."""

from services.cli import main

main()
