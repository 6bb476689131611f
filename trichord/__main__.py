"""`python -m trichord`: the command line."""

from trichord.cli import main

main()
