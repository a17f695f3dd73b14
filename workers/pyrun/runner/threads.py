"""Threads that a call leaves behind: which of them do something, and which only wait to be given work."""
import _thread
import os
import sys
import time

LIBRARY = os.path.dirname(os.__file__) + os.sep
POOLS = tuple(LIBRARY + os.path.join(*name) + os.sep for name in (("concurrent", "futures"), ("multiprocessing",)))
WAITS = tuple(LIBRARY + name for name in ("threading.py", "queue.py", "selectors.py"))
MONITOR = os.path.join("tqdm", "_monitor.py")  # looks after progress bars, and prints only where they do
PATIENCE, LOOK = 10, 0.0005  # looks, and seconds between them: what has been told to end needs a moment

thread_count = _thread._count
residents = set()  # threads that modules started while they were loaded: they are nobody's call


def idle(frame):
    """Whether a thread is a pool's, and the pool has nothing to do just now."""
    of_pool = False
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(POOLS):
            if at_work(frame.f_code.co_name, frame.f_locals):
                return False
            of_pool = True
        elif file.endswith(MONITOR):
            of_pool = True
        elif not file.startswith(WAITS):
            return False
        frame = frame.f_back
    return of_pool


def at_work(name, its):
    """Whether one of a pool's own functions has something in hand. What it calls may be a C function, without a frame."""
    if name == "_worker":  # of a ThreadPoolExecutor
        return its.get("work_item") is not None or its["work_queue"].qsize() > 0
    if name == "worker":  # of a multiprocessing.pool.ThreadPool
        return its.get("task") is not None
    return bool(its.get("cache"))  # of those who hand out a Pool's tasks: what it owes


def busy():
    """The threads but this one that are not idle, each by what tells it from all others."""
    threading, own = sys.modules.get("threading"), _thread.get_ident()
    known = {} if threading is None else {thread.ident: thread for thread in threading.enumerate()}
    return {known.get(ident, ident) for ident, frame in sys._current_frames().items() if ident != own and not idle(frame)}


def settle_in():
    """Whatever runs now may stay: modules have been loaded."""
    if thread_count():
        residents.update(busy())


def left_behind():
    """Whether the call that ends leaves threads that go on with something of it."""
    for _ in range(PATIENCE):
        found = busy() - residents
        if not found:
            return False
        time.sleep(LOOK)
    return True
