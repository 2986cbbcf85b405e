"""`python -m runner`."""

from runner.cli.app import main

if __name__ == "__main__":
    main()
