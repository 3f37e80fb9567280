"""`python -m cli` is `radstream`."""

from cli.main import main

main()
