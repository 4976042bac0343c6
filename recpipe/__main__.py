"""`python -m recpipe` is `recpipe`."""

from recpipe.cli import main

main()
