"""`python -m services.cli`: the same as `cutover`."""

from services.cli import main

main()
