"""The runner as a process: how it begins and ends, and in what order it answers."""
import json
import os
import sys
import unittest

from runner import protocol, child
from parent import HERE, ChildCase, LIMIT, NONE, PATIENCE


class ProcessTest(ChildCase):
    def test_hello(self):
        parent = self.start()
        self.assertEqual(parent.hello["protocol"], protocol.PROTOCOL)
        self.assertEqual(parent.hello["pid"], parent.process.pid)
        self.assertEqual(parent.hello["python"], "%d.%d.%d" % sys.version_info[:3])
        self.assertEqual((parent.hello["platform"], parent.hello["lacking"]), (sys.platform, {}))

    def test_it_ends_when_the_parent_hangs_up(self):
        parent = self.start()
        self.assertEqual(parent.call("def f(): return 1").value, 1)
        self.assertEqual(parent.close(), 0)

    def test_functions_do_not_see_its_modules(self):
        text = (
            "import importlib.util, sys\n"
            "NAMES = %r\n"
            "ours = set(NAMES) - {'__init__'} | {'runner'}\n"
            "def f(): return [n for n in ours if n in sys.modules or importlib.util.find_spec(n)]\n"
        ) % sorted(name[:-3] for name in os.listdir(os.path.join(HERE, "runner")) if name.endswith(".py"))
        self.assertEqual(self.start().call(text).value, [])

    def test_what_is_no_frame_ends_it(self):
        for broken in ({"magic": b"xx"}, {"flags": 0}, {"crc": 1}):
            parent = self.start()
            parent.write(protocol.CALLS, b"\0\0\0\0", **broken)
            self.assertEqual(parent.close(), 70, broken)

    def test_many_calls_in_one_frame_come_back_in_order(self):
        parent = self.start()
        number = parent.body("def f(x): return x * 2")
        tags = parent.send(*[(number, json.dumps([[i], {}]).encode()) for i in range(200)])
        for i, tag in enumerate(tags):
            reply = parent.reply()
            self.assertEqual((reply.tag, reply.value, reply.repr.decode()), (tag, 2 * i, str(2 * i)))

    def test_each_result_is_written_before_the_next_call_is_entered(self):
        parent = self.start()
        good, bad = parent.body("def f(): return 1"), parent.body("import os\ndef f(): os._exit(3)")
        parent.send((good, NONE), (bad, NONE), (good, NONE))
        self.assertEqual(parent.reply().value, 1)
        with self.assertRaises(EOFError):
            parent.reply()
        self.assertEqual(parent.process.wait(PATIENCE), 3)

    def test_large_frames_both_ways(self):
        parent = self.start()
        text = "x" * (LIMIT - 100)
        self.assertEqual(parent.call("def f(x): return x", json.dumps([[text], {}]).encode()).value, text)
        reply = parent.call("def f(x): return x + x", json.dumps([[text], {}]).encode())
        self.assertEqual((reply.status, reply.told["type"]), (protocol.TOO_LARGE, "ResultTooLarge"))

    def test_time_is_the_call_s(self):
        reply = self.start().call("import time\ntime.sleep(0.01)\ndef f(): time.sleep(0.05)")
        self.assertGreaterEqual(reply.ns, 50e6)
        self.assertLess(reply.ns, PATIENCE * 1e9)

    def test_skips(self):
        parent = self.start()
        slow = parent.body("import time\ndef f(): time.sleep(0.3)")
        count = parent.body("n = 0\ndef f():\n    global n\n    n += 1\n    return n")
        tags = parent.send((slow, NONE), (count, NONE), (count, NONE))
        parent.write(protocol.SKIP, protocol.NUMBER.pack(tags[1]))
        self.assertEqual([parent.reply().status for _ in tags], [protocol.OK, protocol.SKIPPED, protocol.OK])
        self.assertEqual(parent.call(count).value, 2)

    def test_a_skip_is_forgotten_with_its_frame(self):
        parent = self.start()
        number = parent.body("def f(): return 1")
        parent.write(protocol.SKIP, protocol.NUMBER.pack(parent.tag + 2))
        parent.call(number)
        self.assertEqual(parent.call(number).status, protocol.OK)


class CacheTest(ChildCase):
    def test_a_body_is_loaded_once(self):
        parent = self.start()
        number = parent.body("n = []\ndef f():\n    n.append(0)\n    return len(n)")
        self.assertEqual([parent.call(number).value for _ in range(3)], [1, 2, 3])

    def test_bodies_do_not_see_each_other(self):
        parent = self.start()
        one, two = parent.body("K = 1\ndef f(): return K"), parent.body("def f(): return 'K' in globals()")
        self.assertEqual((parent.call(one).value, parent.call(two).value), (1, False))

    def test_what_was_dropped_is_asked_for(self):
        parent = self.start()
        first = parent.body("def f(): return 'first'")
        self.assertEqual(parent.call(first).value, "first")
        for _ in range(child.CACHED_BODIES):
            parent.call("def f(): pass")
        parent.send((first, NONE))
        self.assertEqual(parent.frame(), (protocol.MISS, protocol.NUMBER.pack(first)))
        parent.tell_body(first, "def f(): return 'again'")
        self.assertEqual(parent.reply().value, "again")

    def test_what_is_used_stays(self):
        parent = self.start()
        first = parent.body("def f(): return 1")
        for _ in range(2 * child.CACHED_BODIES):
            self.assertEqual(parent.call(first).value, 1)
            parent.call("def f(): pass")

    def test_what_fails_to_load_is_tried_again(self):
        parent = self.start()
        number = parent.body("import sys\nif not sys.__dict__.pop('FIXED', ''): raise OSError('not yet')\ndef f(): return 1")
        self.assertEqual(parent.call(number).status, protocol.UNLOADABLE)
        parent.call("import sys\ndef f(): sys.FIXED = '1'")
        self.assertEqual(parent.call(number).value, 1)


if __name__ == "__main__":
    unittest.main()
