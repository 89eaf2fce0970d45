"""Many jobs on many processes. Dask does the work of it: a cluster of this machine, or the scheduler at an address.

A job that fails for a reason of its own says so in its result; what is raised here is that no worker can work at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any, TypeVar

from snnport.errors import InvalidInput, SnnportError
from snnport.sim.engine import available_cores

T = TypeVar("T")
R = TypeVar("R")
ATTEMPTS = 3
"""Workers that may die over one job before it is given up: a job that eats all memory takes its workers with it."""
CONNECT_S = 20


def default_workers() -> int:
    """One a core."""
    return available_cores()


def serial(work: Callable[[T], R], jobs: Sequence[T]) -> Iterator[tuple[T, R | Exception]]:
    """Each job with its result, in this process."""
    for job in jobs:
        try:
            yield job, work(job)
        except SnnportError as error:
            yield job, error


def parallel(
    work: Callable[[T], R], jobs: Sequence[T], workers: int, scheduler: str | None, names: Sequence[str]
) -> Generator[tuple[T, R | Exception], None, None]:
    """Each job with its result or what it raised, in the order in which they finish. names: of the jobs, unique.

    Leaving the loop early cancels what has not begun. Raises InvalidInput without dask, or where `scheduler` is silent.
    """
    try:
        dask: Any = import_module("dask")
        distributed: Any = import_module("distributed")
    except ModuleNotFoundError as error:
        what = f"it needs {error.name}, which is not installed"
        raise InvalidInput("sweep", what, "Type: pip install 'snnport[sweep]', or give --workers 0") from None
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_settings()))
        for name in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if scheduler is None:
            # each process runs one job at a time, and no process starts threads of its own
            cluster = distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0)
            address: Any = stack.enter_context(cluster)
        else:
            address = scheduler
        try:
            client = stack.enter_context(distributed.Client(address, timeout=CONNECT_S))
        except (OSError, ValueError, TimeoutError) as error:
            what = f"no scheduler answers ({_line(error)})"
            raise InvalidInput(f"--scheduler {scheduler}", what, "Start one with `dask scheduler`, or leave it out") from None
        futures = {
            client.submit(work, job, key=name, retries=0, pure=False): job for job, name in zip(jobs, names, strict=True)
        }
        try:
            for future in distributed.as_completed(list(futures)):
                failed = future.exception()
                yield futures[future], (future.result() if failed is None else _error(failed))
        finally:
            client.cancel(list(futures), force=True)


def _settings() -> dict[str, Any]:
    """Quiet, and a dead worker is replaced at once. Threads of numerical libraries would only fight over the cores."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1)
    return {
        "distributed.scheduler.allowed-failures": ATTEMPTS,
        "distributed.nanny.pre-spawn-environ": {**threads, "MALLOC_TRIM_THRESHOLD_": 65536},
        "distributed.worker.daemon": True,
        "distributed.admin.tick.limit": "1h",
        "distributed.comm.timeouts.connect": f"{CONNECT_S}s",
        "distributed.diagnostics.erred-tasks.max-history": 0,
    }


def _error(error: BaseException) -> Exception:
    if type(error).__name__ == "KilledWorker":
        what = f"{ATTEMPTS + 1} workers died over it, most likely of too little memory"
        return InvalidInput("worker", what, "Use fewer --workers, or a smaller network or batch")
    return error if isinstance(error, Exception) else RuntimeError(_line(error))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
