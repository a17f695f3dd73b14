"""Frames, and what a child remembers of them."""
import io
import json
import os
import struct
import threading
import unittest
import zlib

from runner import protocol, child
from samples import LIMIT


class FrameTest(unittest.TestCase):
    def setUp(self):
        self.theirs_r, write = os.pipe()
        read, self.theirs_w = os.pipe()
        self.pipes = protocol.Pipes(read, write)
        for fd in (self.theirs_r, write, read, self.theirs_w):
            self.addCleanup(os.close, fd)

    def test_round_trip(self):
        for payload in (b"", b"x", b"y" * 200_000):
            sender = threading.Thread(target=self.pipes.send, args=(protocol.DONE, payload))
            sender.start()
            data = io.FileIO(self.theirs_r, closefd=False)
            got = b""
            while len(got) < protocol.HEADER.size + len(payload):
                got += data.read(1 << 16)
            sender.join()
            self.assertEqual(struct.unpack("<2sBBII", got[:12]), (b"fx", protocol.DONE, 1, len(payload), zlib.crc32(payload)))
            writer = threading.Thread(target=os.write, args=(self.theirs_w, got))
            writer.start()
            self.assertEqual(self.pipes.frame(), (protocol.DONE, payload))
            writer.join()

    def test_cache_is_bounded_and_asks_again(self):
        served = child.Child(self.pipes, None, LIMIT)
        description = json.dumps({"codec": "source", "entry": "f", "file": "", "hash": ""}).encode()
        for number in range(1, child.CACHED_BODIES + 2):
            served.control(protocol.BODIES, protocol.BODY.pack(number, len(description)) + description + b"def f(): pass")
        self.assertEqual((len(served.bodies), 1 in served.bodies, 2 in served.bodies), (child.CACHED_BODIES, False, True))
        payload = protocol.BODY.pack(1, len(description)) + description + b"x"
        os.write(self.theirs_w, protocol.HEADER.pack(b"fx", protocol.BODIES, 1, len(payload), zlib.crc32(payload)) + payload)
        self.assertEqual(served.body(1).data, b"x")
        self.assertEqual(os.read(self.theirs_r, 100)[2], protocol.MISS)


if __name__ == "__main__":
    unittest.main()
