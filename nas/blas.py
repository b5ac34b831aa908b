"""Linear algebra of a search on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let numpy and scipy compute on one thread; torch has threads of its own.

    The matrices of a search have some hundred rows, where threads cost more than they save: on two
    cores a Cholesky decomposition of 128 × 128 takes 0.08 ms on one thread and 4 ms on two.
    """
    import scipy.linalg  # noqa: F401  a library that is loaded later is not limited

    with threadpool_limits(limits=1, user_api="blas"):
        yield
