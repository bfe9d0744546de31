"""What all tests share: signals as a foreground program has them, optional packages."""

import doctest
import signal
import sys

import pytest


def pytest_configure():
    """Let Ctrl-C and SIGTERM do what they do in the foreground."""
    # A program started in the background inherits an ignored Ctrl-C, and keeps it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Skip a test that needs an extra which is not installed."""
    try:
        return (yield)
    except Exception as error:
        cause = (
            error.exc_info[1]
            if isinstance(error, doctest.UnexpectedException)
            else error
        )
        # By name: to import the package here would hide what importing it costs.
        missing = getattr(sys.modules.get("scg.errors"), "MissingExtraError", ())
        if isinstance(cause, missing):
            pytest.skip(str(cause))
        raise
