"""A fork that runs one call, seen from the process it came from."""
import os
import select
import signal
import time
import zlib

from .protocol import COMPLETE, DONE, HEADER, MAGIC, NUMBER, RESULT

FORK_PATIENCE = 1000  # ms after which a silent fork is looked after: what it started may hold its pipe


class Heir:
    """A fork that runs one call, as the process sees it that it came from: it believes nothing but the form."""

    def __init__(self, pid, pipe, tag, limit):
        self.pid, self.pipe, self.tag, self.limit = pid, pipe, tag, limit
        self.peak = 0  # the most memory it had, in KiB
        self.status, self.why = None, ""  # how it ended, and why we ended it
        self.poll = select.poll()
        self.poll.register(pipe, select.POLLIN)

    def result(self):
        """Waits for its end. Returns the payload of its result; None if it had none that can be believed."""
        payload = self.frame()
        if payload is None and not self.why:
            for _ in range(200):  # a process that ends closes its pipe a moment before it can be waited for
                if self.ended():
                    break
                time.sleep(0.001)
            else:
                self.why = "closed pipes: its connection to faasctl was cut"
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.reap(0)
        return payload

    def frame(self):
        header = self.read(HEADER.size)
        if header is None:
            return None
        magic, kind, flags, length, crc = HEADER.unpack(header)
        if (magic, kind, flags) != (MAGIC, DONE, COMPLETE):
            self.why = "bytes on the result pipe that are no frame"
        elif length > 2 * self.limit + (1 << 20):
            self.why = "a frame of %d bytes on the result pipe" % length
        else:
            payload = self.read(length)
            if payload is not None and zlib.crc32(payload) != crc:
                self.why = "a frame with a wrong checksum on the result pipe"
            elif payload is not None and (length < RESULT.size or NUMBER.unpack_from(payload)[0] != self.tag):
                self.why = "a result for no call that runs"
            else:
                return payload
        return None

    def read(self, size):
        """None when it ended, or closed its pipe, before size bytes came."""
        parts = []
        while size:
            ended = self.status is not None
            if self.poll.poll(0 if ended else FORK_PATIENCE):
                data = os.read(self.pipe, min(size, 1 << 20))
                if not data:
                    return None
                parts.append(data)
                size -= len(data)
            elif ended:
                return None
            else:
                self.ended()
        return b"".join(parts)

    def ended(self):
        if self.status is None:
            self.reap(os.WNOHANG)
        return self.status is not None

    def reap(self, options):
        try:
            pid, status, used = os.wait4(self.pid, options)
            self.peak = used.ru_maxrss
        except ChildProcessError:  # somebody else in this process has waited for it
            pid, status = self.pid, 0
        if pid:
            self.status = status
