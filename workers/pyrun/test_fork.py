"""Calls in forks of the runner."""
import json
import os
import signal
import zlib
import unittest

from runner import protocol
from parent import ChildCase, NONE, Reply


class ForkTest(ChildCase):
    COUNT = "import os\nloaded = os.getpid()\nn = 0\ndef f():\n    global n\n    n += 1\n    return [n, loaded, os.getpid()]"

    def test_each_call_has_a_process_that_has_only_loaded(self):
        parent = self.start()
        number = parent.body(self.COUNT)
        seen = [parent.call(number, flags=protocol.FORKED).value for _ in range(5)]
        self.assertEqual([n for n, _, _ in seen], [1] * 5)
        self.assertEqual({loaded for _, loaded, _ in seen}, {parent.process.pid})
        self.assertEqual(len({pid for _, _, pid in seen}), 5)
        self.assertEqual(parent.call(number).value[0], 1)

    def test_forks_leave_no_processes_and_no_descriptors(self):
        parent = self.start()
        fds = parent.body("import os\ndef f(): return len(os.listdir('/proc/self/fd'))")
        before = parent.call(fds).value
        for _ in range(20):
            parent.call("def f(): pass", flags=protocol.FORKED)
        self.assertEqual(parent.call(fds).value, before)
        with open("/proc/%d/task/%d/children" % (parent.process.pid, parent.process.pid)) as file:
            self.assertEqual(file.read(), "")

    def test_a_death_is_told_with_its_status(self):
        parent = self.start()
        for text, check in (
            ("import os\ndef f(): os._exit(7)", lambda s: os.WIFEXITED(s) and os.WEXITSTATUS(s) == 7),
            ("import os\ndef f(): os._exit(0)", lambda s: s == 0),
            ("import os\ndef f(): os.kill(os.getpid(), 9)", lambda s: os.WIFSIGNALED(s) and os.WTERMSIG(s) == 9),
            ("import os\ndef f(): os.abort()", lambda s: os.WIFSIGNALED(s) and os.WTERMSIG(s) == signal.SIGABRT),
        ):
            reply = parent.call(text, flags=protocol.FORKED)
            self.assertEqual(reply.status, protocol.DIED, text)
            self.assertTrue(check(reply.told["wait"]), (text, reply.told))
            self.assertEqual(parent.call("def f(): return 1", flags=protocol.FORKED).value, 1)

    def test_what_a_fork_forges_is_not_believed(self):
        parent = self.start()
        result = protocol.RESULT.pack(1 << 30, 0, 0, 0, 1, 1, 0, 1, 0) + b"11"
        for name, data, why in (
            ("garbage", b"x" * 100, "no frame"),
            ("kind", protocol.HEADER.pack(b"fx", protocol.HELLO, 1, 0, 0), "no frame"),
            ("length", protocol.HEADER.pack(b"fx", protocol.DONE, 1, 0xFFFFFFFF, 0), "a frame of"),
            ("checksum", protocol.HEADER.pack(b"fx", protocol.DONE, 1, 1, 7) + b"z", "checksum"),
            ("tag", protocol.HEADER.pack(b"fx", protocol.DONE, 1, len(result), zlib.crc32(result)) + result, "no call that runs"),
            ("short", protocol.HEADER.pack(b"fx", protocol.DONE, 1, 4, zlib.crc32(b"abcd")) + b"abcd", "no call that runs"),
        ):
            reply = parent.call("import os, time\ndef f():\n    os.write(4, %r)\n    time.sleep(60)" % data, flags=protocol.FORKED)
            self.assertEqual(reply.status, protocol.DIED, name)
            self.assertIn(why, reply.told["message"])

    def test_a_fork_cannot_read_calls_or_write_to_the_parent(self):
        text = "import os\ndef f():\n    try:\n        os.fstat(3)\n        return 'open'\n    except OSError:\n        return os.fstat(4).st_ino\n"
        parent = self.start()
        ours = parent.call("import os\ndef f(): return os.fstat(4).st_ino").value
        self.assertNotIn(parent.call(text, flags=protocol.FORKED).value, ("open", ours))

    def test_output_is_whose_it_is(self):
        parent = self.start()
        number = parent.body("import sys\nsys.stdout.write('loading ')\ndef f(n):\n    sys.stdout.write('call %d' % n)")
        parent.send(*[(number, json.dumps([[i], {}]).encode()) for i in range(3)], flags=protocol.FORKED)
        for want in ("loading call 0", "call 1", "call 2"):
            _, payload = parent.frame()
            self.assertTrue(Reply(payload).flags & protocol.PENDING)
            self.assertEqual(parent.said(), (want, ""))
            parent.write(protocol.ACK)

    def test_a_cancel_is_the_call_s_alone(self):
        parent = self.start()
        text = "import signal, time\nended = []\ndef f():\n    signal.signal(15, lambda *_: ended.append(1))\n    print('here', flush=True)\n    while not ended: time.sleep(0.01)\n    return 'polite'"
        parent.send((parent.body(text), NONE), flags=protocol.FORKED)
        while b"here" not in parent.printed[parent.out]:
            parent.printed[parent.out] += os.read(parent.out, 100)
        os.killpg(parent.process.pid, signal.SIGTERM)
        self.assertEqual(parent.reply().value, "polite")


if __name__ == "__main__":
    unittest.main()
