"""All arrays from the pool, also the small ones that models in tests are made of."""

import contextlib
import sys
from unittest import mock

__all__ = ["pooled"]


@contextlib.contextmanager
def pooled(small=0):
    """Call no array small, so that a small model runs as a large one does."""
    with contextlib.ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("scg.") and hasattr(module, "SMALL"):
                stack.enter_context(mock.patch.object(module, "SMALL", small))
        yield
