"""What both ends of the pipes say: descriptors, frames, kinds, statuses. frame.go holds the other half."""
import os
import struct
import zlib

PROTOCOL = 1
CALLS_FD, RESULTS_FD, STDOUT_READ_FD, STDERR_READ_FD = 3, 4, 5, 6
HEADER = struct.Struct("<2sBBII")  # magic, kind, flags, length, crc32
CALL = struct.Struct("<IIBB2xII16s")  # tag, body number, codec, flags, length of the arguments, attempt, task id
NOTES_FD, NOTES_SIZE = 7, 4096  # a page where the parent finds progress; behind it Python's last words in a crash
CONTROL_FD = 8  # a socket: the parent sends new pipes; what threads of ended calls print goes to it
NOTES = struct.Struct("<IIddH")  # crc32 of the rest, tag, done, total, length of the note
RESULT = struct.Struct("<IBBHQIIII")  # tag, status, flags, 0, ns, lengths of json, pickle, repr, failure
RESULT_FLAGS = 5  # where the flags are
BODY = struct.Struct("<II")  # body number, length of the description
NUMBER = struct.Struct("<I")
LIMITS = struct.Struct("<QQ")  # bytes of memory, processes; the highest number is none
MAGIC, COMPLETE = b"fx", 1
LOADING = struct.Struct("<IB")  # tag, whether setup() begins (1) or has ended (0)
SETUP, BODIES, CALLS, ACK, SKIP, LIMIT, ENV, HELLO, DONE, MISS, LOAD = b"IBCAKQEHRML"
OK, EXCEPTION, UNSERIALIZABLE, UNLOADABLE, TOO_LARGE, SKIPPED, DIED = range(7)
JSON_CODEC, DILL_CODEC = 0, 1
PENDING = 1  # flag of a result: the call printed something the parent has not read yet
LEFT = 2  # flag of a result: the call may have left processes running, so that the next one needs pipes of its own
THREADS = 4  # flag of a result: the call has left threads that go on, so that this process runs nothing more
FORKED = 1  # flag of a call: it runs in a fork of this process


class Pipes:
    """The two pipes to the parent."""

    def __init__(self, calls=CALLS_FD, results=RESULTS_FD):
        self.calls, self.results = calls, results

    def read(self, size):
        data = os.read(self.calls, size)
        if len(data) == size:
            return data
        parts, got = [data], len(data)
        while got < size:
            if not data:
                os._exit(0)  # the parent is gone or has no more work
            data = os.read(self.calls, min(size - got, 1 << 20))
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def frame(self):
        magic, kind, flags, length, crc = HEADER.unpack(self.read(HEADER.size))
        payload = self.read(length) if length else b""
        if magic != MAGIC or not flags & COMPLETE or zlib.crc32(payload) != crc:
            os._exit(70)  # both ends are ours: there is nothing to go on with
        return kind, payload

    def send(self, kind, payload):
        data = HEADER.pack(MAGIC, kind, COMPLETE, len(payload), zlib.crc32(payload)) + payload
        done = os.write(self.results, data)
        while done < len(data):
            data = memoryview(data)[done:]
            done = os.write(self.results, data)
