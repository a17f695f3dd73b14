"""What a call finds around it, and what it leaves: output, surroundings, limits."""
import json
import os
import select
import tempfile
import unittest

from runner import protocol
from parent import ChildCase, NONE, Reply


class StageTest(ChildCase):
    def test_everything_printed_is_there_before_the_result(self):
        parent = self.start()
        for text, want in (
            ("def f(): print('no newline', end='')", ("no newline", "")),
            ("import sys\ndef f():\n    print('out')\n    print('err', file=sys.stderr)", ("out\n", "err\n")),
            ("import os\ndef f():\n    os.write(1, b'raw'); os.write(2, b'bytes')", ("raw", "bytes")),
            ("import subprocess\ndef f(): subprocess.call(['echo', 'child'])", ("child\n", "")),
            ("import ctypes\ndef f(): ctypes.CDLL(None).puts(b'from C')", ("from C\n", "")),
            ("def f(): print('\\ud800 \\u2603')", ("\\ud800 \u2603\n", "")),
        ):
            for flags in (0, protocol.FORKED):
                reply = parent.call(text, flags=flags)
                self.assertEqual(reply.status, protocol.OK, reply.told)
                self.assertTrue(reply.flags & protocol.PENDING)
                self.assertEqual(parent.said(), want)

    def test_a_silent_call_asks_for_nothing(self):
        self.assertEqual(self.start().call("def f(): pass").flags, 0)

    def test_a_call_waits_until_the_one_before_was_read(self):
        parent = self.start()
        loud = parent.body("def f(n): print('call', n)")
        tags = parent.send(*[(loud, json.dumps([[i], {}]).encode()) for i in range(3)])
        for i in range(len(tags)):
            kind, payload = parent.frame()
            self.assertTrue(Reply(payload).flags & protocol.PENDING)
            self.assertEqual(select.select([parent.results], [], [], 0.05)[0], [])
            self.assertEqual(parent.said(), ("call %d\n" % i, ""))
            parent.write(protocol.ACK)

    def test_what_a_call_did_to_its_surroundings_is_undone(self):
        parent = self.start()
        check = parent.body(
            "import os, signal, sys\n"
            "def f():\n"
            "    print('still here')\n"
            "    print('and here', file=sys.stderr)\n"
            "    return [sys.stdout is sys.__stdout__, sys.stdin.read(), signal.getsignal(15) == signal.SIG_DFL, signal.alarm(0), sys.getrecursionlimit()]\n")
        before = parent.call(check).value
        self.assertEqual(parent.said(), ("still here\n", "and here\n"))
        for harm in (
            "sys.stdout = io.StringIO()", "sys.stdout.close()", "sys.stderr.close()", "os.close(1)", "os.close(2)", "os.dup2(2, 1)", "sys.stdout = None",
            "sys.__stdout__ = sys.__stderr__ = None", "signal.signal(15, signal.SIG_IGN)", "signal.signal(2, signal.SIG_IGN)", "signal.alarm(60)",
            "sys.setrecursionlimit(77)", "sys.stdin = None", "sys.stdout.detach()",
            "json.dumps = json.loads = None", "time.perf_counter = os.getpid", "os.chdir('/tmp')",
        ):
            with self.subTest(harm):
                self.assertEqual(parent.call("import io, json, os, signal, sys, time\ndef f(): %s" % harm).status, protocol.OK)
                parent.said()
                self.assertEqual(parent.call(check).value, before)
                self.assertEqual(parent.said(), ("still here\n", "and here\n"))

    def test_each_call_finds_its_directory_empty_and_its_variables(self):
        with tempfile.TemporaryDirectory() as top:
            work, other = os.path.join(top, "work"), os.path.join(top, "other")
            os.mkdir(work), os.mkdir(other)
            open(os.path.join(other, "precious"), "w").close()
            parent = self.start(work=work)
            check = parent.body("import os\ndef f(): return [os.getcwd(), os.listdir('.'), os.listdir(os.getcwd()), sorted(os.environ), os.environ['HOME']]")
            before = parent.call(check).value
            self.assertEqual(before[:3], [os.path.realpath(work), [], []])
            for harm in (
                "open('file', 'w').close()", "os.makedirs('a/b/c'); open('a/b/c/file', 'w').close()", "os.symlink(%r, 'link')" % other,
                "os.makedirs('a/b'); os.symlink(%r, 'a/b/link'); os.link(%r, 'a/hard')" % (other, other + "/precious"),
                "os.chdir('/')", "os.mkdir('below'); os.chdir('below')", "os.rmdir(%r)" % work, "os.rename(%r, %r)" % (work, top + "/away%d" % os.getpid()),
                "os.rmdir(%r); os.symlink(%r, %r)" % (work, other, work), "os.rmdir(%r); open(%r, 'w').close()" % (work, work),
                "os.environ['NEW'] = 'x'", "os.environ.clear()", "os.environ['HOME'] = '/nowhere'; os.environ = {}", "os.unsetenv('HOME'); del os.environ['HOME']",
            ):
                with self.subTest(harm):
                    self.assertEqual(parent.call("import os\ndef f(): %s" % harm).status, protocol.OK)
                    self.assertEqual(parent.call(check).value, before)
                    self.assertEqual(os.listdir(other), ["precious"])
            parent.send((parent.body("import os\ndef f(): open('file', 'w').close()"), NONE), flags=protocol.FORKED)
            self.assertEqual(parent.reply().status, protocol.OK)
            self.assertEqual(parent.call(check).value, before)

    def test_what_loading_does_to_the_variables_stays(self):
        parent = self.start()
        number = parent.body("import os\nos.environ['THREADS'] = '1'\ndef setup(): os.environ['MODEL'] = 'm'\ndef f(): return [os.environ.get('THREADS'), os.environ.get('MODEL'), os.environ.pop('MODEL')]")
        for _ in range(2):
            self.assertEqual(parent.call(number).value, ["1", "m", "m"])

    def test_variables_are_lent(self):
        parent = self.start()
        text = "import os\nAT_LOAD = os.environ.get('KEY')\nos.environ['KEPT'] = 'k'\ndef f(): return [AT_LOAD, os.environ.pop('KEY', None), os.environ.get('KEPT'), os.environ.get('LANG')]"
        before = parent.call("import os\ndef f(): return sorted(os.environ)").value
        parent.write(protocol.ENV, json.dumps({"KEY": "one", "LANG": "xx"}).encode())
        lent = parent.body(text)
        for _ in range(2):
            self.assertEqual(parent.call(lent).value, ["one", "one", "k", "xx"])
        parent.write(protocol.ENV, json.dumps({"KEY": "two"}).encode())
        self.assertEqual(parent.call("import os\ndef f(): return os.environ['KEY']").value, "two")
        parent.write(protocol.ENV, b"{}")
        self.assertEqual(parent.call("import os\ndef f(): return sorted(os.environ)").value, sorted(set(before) | {"KEPT"}))
        self.assertEqual(parent.call("import os\ndef f(): return os.environ.get('LANG')").value, os.environ.get("LANG"))

    def test_without_a_directory_of_its_own_nothing_is_removed(self):
        with tempfile.TemporaryDirectory() as top:
            parent = self.start()
            parent.call("import os\ndef f(): os.chdir(%r); open('file', 'w').close()" % top)
            parent.call("def f(): pass")
            self.assertEqual(os.listdir(top), ["file"])

    def test_limits_are_put_in_force_and_taken_back(self):
        parent = self.start()
        check = parent.body("import resource\ndef f(): return [resource.getrlimit(k) for k in (resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_CORE)]")
        before = parent.call(check).value
        self.assertEqual(before[2], [0, 0])
        parent.write(protocol.LIMIT, protocol.LIMITS.pack(1 << 31, 500))
        self.assertEqual([soft for soft, _ in parent.call(check).value], [1 << 31, 500, 0])
        self.assertEqual(parent.call("def f(): return len(bytearray(3 << 30))").told["type"], "MemoryError")
        parent.write(protocol.LIMIT, protocol.LIMITS.pack((1 << 64) - 1, (1 << 64) - 1))
        self.assertEqual(parent.call(check).value, before)

    def test_a_fork_of_the_function_does_not_answer(self):
        parent = self.start()
        self.assertTrue(parent.call("import os\ndef f(): return os.fork() > 0").value)
        self.assertEqual(parent.call("def f(): return 1").value, 1)

    def test_a_function_inherits_no_pipes(self):
        text = "import os, subprocess\ndef f(): return len(subprocess.check_output(['ls', '/proc/self/fd']).split())"
        self.assertLessEqual(self.start().call(text).value, 4)  # three, and the one of ls

    def test_functions_have_a_main_of_their_own(self):
        text = "import __main__, sys\ndef f(): return [hasattr(__main__, 'Child'), sys.argv]"
        self.assertEqual(self.start().call(text).value, [False, [""]])


if __name__ == "__main__":
    unittest.main()
