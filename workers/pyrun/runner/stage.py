"""What a function finds around it, put back in order after each call."""
import _thread
import os
import select
import signal
import sys
import time
from _signal import getsignal  # the one of the signal module makes an enum of each answer: 1.5 us

from . import output, surroundings
from .protocol import CALLS_FD, CONTROL_FD, LEFT, STDERR_READ_FD, STDOUT_READ_FD, THREADS
from .output import Descriptor, Shared, flush, get_native_id, keep, strangers, stream
from .threads import idle, left_behind, thread_count

QUICK = 200_000  # ns in which no call starts a process


class Stage:
    """What a function finds around it, put back in order after each call."""

    def __init__(self, guarded=False):
        self.kept = [keep(1), keep(2)]
        self.stdin = sys.stdin
        self.out, self.err = stream(1), stream(2)
        self.recursion = sys.getrecursionlimit()
        self.interrupt = getsignal(signal.SIGINT)
        self.poll = select.poll()
        for descriptor in (STDOUT_READ_FD, STDERR_READ_FD, CALLS_FD):
            self.poll.register(descriptor, select.POLLIN)
        self.littered = False
        place = surroundings.place
        if place.watch >= 0:
            self.poll.register(place.watch, select.POLLIN)
        self.control = None  # made when it is needed: the socket module takes 5 ms
        self.guarded = guarded  # there is a control socket
        if guarded:
            os.set_inheritable(CONTROL_FD, False)
        self.begin()
        self.set()

    def begin(self):
        """Takes what was started up to now as nothing that a call has left."""
        self.children = children_used() if self.guarded else None

    def left(self, took):
        """What a call that took so long may have left behind, as flags of its result: LEFT processes that hold its pipes, THREADS."""
        if not self.guarded:
            return 0
        flags = 0
        if strangers or thread_count():
            flags = THREADS if left_behind() else 0  # it waits a moment for those of pools that are about to idle
            self.note_strangers()
        if took < QUICK:
            return flags
        used, before = children_used(), self.children
        self.children = used
        return flags | LEFT if used != before or has_children() else flags

    def note_strangers(self):
        """From now on, what these threads print is no call's. A pool's thread that waits for work will print for who gives it some."""
        others = set(map(int, os.listdir("/proc/self/task"))) - {get_native_id()}
        threading = sys.modules.get("threading")
        if threading is not None:
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if thread.ident in frames and idle(frames[thread.ident]):
                    others.discard(thread.native_id)
        if others:
            self.connect()
            fresh = others - strangers
            strangers.update(others)
            self.out.__class__ = self.err.__class__ = Shared
            if fresh:
                await_writers()
        strangers.intersection_update(others)  # at no time were they not noted

    def connect(self):
        if self.control is None:
            import socket
            self.control = output.parent = socket.socket(fileno=CONTROL_FD)
        self.control.settimeout(None)

    def renew(self):
        """Takes new pipes for stdout and stderr: the old ones belong to what a call left running."""
        import array
        import socket
        self.connect()
        data, rights, _, _ = self.control.recvmsg(1, socket.CMSG_SPACE(4 * array.array("i").itemsize))
        if not rights:
            os._exit(0)  # the parent has gone, or has no more work
        new = array.array("i", rights[0][2])
        places = ((self.kept[0], 1), (self.kept[1], 2), (STDOUT_READ_FD,), (STDERR_READ_FD,))
        for descriptor, targets in zip(new, places):
            for target in targets:
                os.dup2(descriptor, target, target < 3)
            os.close(descriptor)

    def set(self):
        sys.stdin, sys.stdout, sys.stderr = self.stdin, self.out, self.err
        sys.__stdout__, sys.__stderr__ = self.out, self.err

    def settle(self):
        """Ends a call. Returns whether it printed something still unread, and whether the parent has word for us."""
        if sys.stdout is not self.out or sys.stderr is not self.err:
            for replaced in (sys.stdout, sys.stderr):
                flush(replaced)
        if not flush(self.out):
            self.out = stream(1)
        if not flush(self.err):
            self.err = stream(2)
        self.set()
        os.dup2(self.kept[0], 1)
        os.dup2(self.kept[1], 2)
        signal.alarm(0)
        if getsignal(signal.SIGTERM) != 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if getsignal(signal.SIGINT) is not self.interrupt:
            signal.signal(signal.SIGINT, self.interrupt)
        if sys.getrecursionlimit() != self.recursion:
            sys.setrecursionlimit(self.recursion)
        place = surroundings.place
        place.back()
        unwatched = place.path and place.watch < 0
        ready = self.poll.poll(0)
        if not ready:
            self.littered = unwatched
            return False, False
        ready = [descriptor for descriptor, _ in ready]
        self.littered = unwatched or place.watch in ready
        return STDOUT_READ_FD in ready or STDERR_READ_FD in ready, CALLS_FD in ready

    def tidy(self):
        """Removes what the call has left in its directory. Its result is out by then."""
        if self.littered:
            surroundings.place.clean()
            self.littered = False

    def asked(self):
        return any(descriptor == CALLS_FD for descriptor, _ in self.poll.poll(0))


def await_writers():
    """Lets threads end a write that they began when they were no strangers: it would be the next call's."""
    me, deadline = _thread.get_ident(), time.monotonic() + 0.1
    while any(frame.f_code is Descriptor.write.__code__ for ident, frame in sys._current_frames().items() if ident != me):
        if time.monotonic() > deadline:
            return  # its pipe is full
        time.sleep(0.0001)


def children_used():
    """What ended children have used: it changes with each of them."""
    try:
        from resource import getrusage, RUSAGE_CHILDREN
    except ImportError:
        return None
    return getrusage(RUSAGE_CHILDREN)


def has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return True
    except ChildProcessError:
        return False
