"""Where things are kept between jobs."""

from pathlib import Path

from runner.faults import StoreFault


def cache_folder() -> Path:
    """Where wheels, locks and certificates are kept between jobs; made when it is not there.

    Raises:
        StoreFault: it cannot be made.
    """
    folder = Path.home() / ".cache" / "runner"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFault(
            cause=f"{folder} cannot be made: {error.strerror}", mend="give permission, or set HOME"
        ) from error
    return folder
