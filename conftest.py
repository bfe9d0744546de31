"""What all tests share: signals as a foreground program has them."""

import signal


def pytest_configure():
    """Let Ctrl-C and SIGTERM do what they do in the foreground."""
    # A program started in the background inherits an ignored Ctrl-C, and keeps it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
