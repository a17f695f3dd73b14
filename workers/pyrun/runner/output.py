"""stdout and stderr: no line is lost to a crash, and what an ended call's threads print is no other call's."""
import _thread
import io
import os

strangers = set()  # native ids of threads that calls which have ended left running
parent = None  # where their output goes: set with the first of them
get_native_id = getattr(_thread, "get_native_id", lambda: 0)


class Descriptor(io.FileIO):
    """stdout or stderr of the call that runs. Threads that another one has left do not reach it."""

    def write(self, data):
        if strangers and get_native_id() in strangers:
            return overheard(self.fileno(), bytes(data))
        done, size = io.FileIO.write(self, data), len(data)
        while done < size:  # a signal came between
            done += io.FileIO.write(self, memoryview(data)[done:])
        return size


class Stream(io.TextIOWrapper):
    """sys.stdout or sys.stderr. There is no buffer between but its own, which is written out at each line's end."""


class Shared(Stream):
    """A Stream once there are strangers, who must not even put anything into the buffer."""

    def write(self, text):
        if strangers and get_native_id() in strangers:
            overheard(self.fileno(), text.encode("utf-8", "backslashreplace"))
            return len(text)
        return Stream.write(self, text)


def overheard(descriptor, data):
    """Tells the parent what a stranger prints, as far as it listens: nobody ever waits for that."""
    try:
        parent.send(b"%d" % descriptor + data[:4096], 0x40)  # MSG_DONTWAIT
    except OSError:
        pass
    return len(data)


def flush(target):
    try:
        target.flush()
        return not target.closed
    except BaseException:
        return False


def keep(descriptor):
    """A private copy of stdout or stderr, which children of the function do not inherit."""
    copy = os.dup(descriptor)
    os.set_inheritable(copy, False)
    return copy


def stream(descriptor):
    """A text stream that loses no line to a crash and that no character can make fail."""
    kind = Shared if strangers else Stream
    return kind(Descriptor(descriptor, "w", closefd=False), encoding="utf-8", errors="backslashreplace", line_buffering=True)


def unbuffer_c():
    """Makes printf of C code write at once: what sits in its buffer would be lost or end up with another call."""
    import ctypes
    libc = ctypes.CDLL(None)
    for name in ("stdout", "stderr"):
        libc.setvbuf(ctypes.c_void_p.in_dll(libc, name), None, 2, 0)
