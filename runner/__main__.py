"""`python -m runner`."""

import sys


def main() -> None:
    """The program. Its parts take their time to load, and Ctrl-C may come meanwhile: nothing was started."""
    try:
        from runner.settings import drop_odd_sizes

        drop_odd_sizes()  # before the library that draws helps reads them
        from runner.cli.app import main as program
    except KeyboardInterrupt:
        if sys.stderr is not None:  # it may have been closed
            sys.stderr.write("interrupted\n")
        sys.exit(130)
    program()


if __name__ == "__main__":
    main()
