"""One thread for every library, which each reads from the environment when loaded."""

import os
import sys

__all__ = ["ensure"]

FIXED = {
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NPROC": "1",  # JAX's threads, of which the flags below leave it as many as cores
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
# Choices of OpenBLAS's kernels: every library gets what its wheel would choose.
ABSENT = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def ensure() -> None:
    """Start the running script again, unless its environment is as it should be."""
    wanted = {k: v for k, v in os.environ.items() if k not in ABSENT} | FIXED
    if wanted != dict(os.environ):
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, wanted)
