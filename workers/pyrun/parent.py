"""Plays the parent of a runner, which it starts as a process as faasctl does.

Nothing here knows what the parent would make of a result: see hostile_test.go.
"""
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
import unittest
import zlib

from runner import protocol

PATIENCE = 30
LIMIT = 1 << 20
NONE = b"[[], {}]"
HERE = os.path.dirname(os.path.abspath(__file__))


def read(*path):
    with open(os.path.join(HERE, *path), "rb") as file:
        return file.read()


BOOTSTRAP = """import os, sys
for number, place in enumerate(map(int, sys.argv[1:5]), 3):
    os.dup2(place, number)
os.closerange(7, 256)
""" + read("bootstrap.py").decode()
SOURCES = b"\0".join(
    name.encode() + b"\n" + read("runner", name) for name in os.listdir(os.path.join(HERE, "runner")) if name.endswith(".py"))


class Reply:
    """A result frame."""

    def __init__(self, payload):
        fields = protocol.RESULT.unpack_from(payload)
        self.tag, self.status, self.flags, _, self.ns = fields[:5]
        parts, at = [], protocol.RESULT.size
        for length in fields[5:]:
            parts.append(payload[at:at + length])
            at += length
        assert at == len(payload), "a result whose lengths do not add up"
        self.json, self.pickle, self.repr, self.failure = parts
        self.told = json.loads(self.failure.decode()) if self.failure else None
        self.value = json.loads(self.json.decode()) if self.json else None


class Parent:
    """A child and our ends of its pipes."""

    def __init__(self, **setup):
        pipes = [os.pipe() for _ in range(4)]
        (calls, self.calls), (self.results, results), (self.out, out), (self.err, err) = pipes
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (calls, results, self.out, self.err)]
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-c", BOOTSTRAP] + [str(fd) for fd in high],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=high, start_new_session=True, cwd="/")
        for fd in high + [calls, results, out, err]:
            os.close(fd)
        self.printed = {self.out: b"", self.err: b""}
        self.bodies = self.tag = 0
        self.put(struct.pack("<I", len(SOURCES)) + SOURCES)
        self.write(protocol.SETUP, json.dumps(dict({"max_payload": LIMIT}, **setup)).encode())
        kind, payload = self.frame()
        assert kind == protocol.HELLO, kind
        self.hello = json.loads(payload.decode())

    def write(self, kind, payload=b"", flags=protocol.COMPLETE, crc=None, magic=protocol.MAGIC):
        crc = zlib.crc32(payload) if crc is None else crc
        self.put(protocol.HEADER.pack(magic, kind, flags, len(payload), crc) + payload)

    def put(self, data):
        while data:
            data = data[os.write(self.calls, data[:1 << 16]):]

    def body(self, text, entry="f", codec="source"):
        self.bodies += 1
        self.tell_body(self.bodies, text, entry, codec)
        return self.bodies

    def tell_body(self, number, text, entry="f", codec="source"):
        data = text.encode() if isinstance(text, str) else text
        description = json.dumps({"codec": codec, "entry": entry, "file": "fn.py", "hash": "%064x" % number}).encode()
        self.write(protocol.BODIES, protocol.BODY.pack(number, len(description)) + description + data)

    def send(self, *calls, **more):
        """Sends one frame of (body, arguments) each; returns their tags."""
        codec, flags = more.get("codec", protocol.JSON_CODEC), more.get("flags", 0)
        parts, tags = [protocol.NUMBER.pack(len(calls))], []
        for number, arguments in calls:
            self.tag += 1
            tags.append(self.tag)
            parts.append(protocol.CALL.pack(self.tag, number, codec, flags, len(arguments), 1, bytes(16)) + arguments)
        self.write(protocol.CALLS, b"".join(parts))
        return tags

    def frame(self):
        header = self.read(protocol.HEADER.size)
        magic, kind, flags, length, crc = protocol.HEADER.unpack(header)
        payload = self.read(length)
        assert (magic, flags, crc) == (protocol.MAGIC, protocol.COMPLETE, zlib.crc32(payload)), header
        return kind, payload

    def read(self, size):
        data, until = b"", time.monotonic() + PATIENCE
        while len(data) < size:
            if not select.select([self.results], [], [], max(0, until - time.monotonic()))[0]:
                raise AssertionError("the child says nothing; it printed %r" % (self.said(),))
            got = os.read(self.results, size - len(data))
            if not got:
                raise EOFError("the child is gone; it printed %r" % (self.said(),))
            data += got
        return data

    def reply(self):
        """The next result, and the acknowledgement that it may ask for."""
        kind = protocol.LOAD
        while kind == protocol.LOAD:
            kind, payload = self.frame()
        assert kind == protocol.DONE, bytes([kind])
        reply = Reply(payload)
        if reply.flags & protocol.PENDING:
            self.drain()
            self.write(protocol.ACK)
        return reply

    def drain(self):
        for fd in (self.out, self.err):
            while select.select([fd], [], [], 0)[0]:
                data = os.read(fd, 1 << 16)
                if not data:
                    break
                self.printed[fd] += data

    def call(self, text, arguments=NONE, **more):
        number = text if isinstance(text, int) else self.body(text)
        tag, = self.send((number, arguments), **more)
        reply = self.reply()
        assert reply.tag == tag
        return reply

    def said(self):
        self.drain()
        out, err = self.printed[self.out].decode(), self.printed[self.err].decode()
        self.printed = {self.out: b"", self.err: b""}
        return out, err

    def close(self):
        """Hangs up; returns the exit status."""
        if self.calls >= 0:
            os.close(self.calls)
            self.calls = -1
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.end()

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except OSError:
            pass
        self.process.wait()
        for fd in (self.calls, self.results, self.out, self.err):
            if fd >= 0:
                os.close(fd)
        self.calls = self.results = self.out = self.err = -1


class ChildCase(unittest.TestCase):
    def start(self, **setup):
        parent = Parent(**setup)
        self.addCleanup(parent.end)
        return parent
