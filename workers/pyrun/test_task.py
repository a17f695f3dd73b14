"""The module faasctl_task."""
import decimal
import mmap
import os
import pickle
import signal
import sys
import threading
import unittest
import uuid
import zlib

from runner import protocol, pickles, task
from samples import LIMIT


class TaskModuleTest(unittest.TestCase):
    def setUp(self):
        self.module = task.task_module()
        task.running.page = self.page = mmap.mmap(-1, protocol.NOTES_SIZE)
        self.addCleanup(setattr, task.running, "page", None)
        self.addCleanup(task.running.leave)

    def noted(self):
        crc, tag, done, total, length = protocol.NOTES.unpack_from(self.page)
        end = protocol.NOTES.size + length
        self.assertEqual(crc, zlib.crc32(self.page[4:end]))
        return tag, done, total, self.page[protocol.NOTES.size:end].decode()

    def test_who_runs(self):
        self.assertEqual((self.module.task_id(), self.module.attempt()), ("", 0))
        ident = uuid.uuid4()
        task.running.enter(7, 3, ident.bytes)
        self.assertEqual((self.module.task_id(), self.module.attempt(), self.module.cancelled()), (str(ident), 3, False))
        task.running.leave()
        self.assertEqual((self.module.task_id(), self.module.attempt()), ("", 0))

    def test_progress_is_the_last_word(self):
        self.module.progress(1, 2, "of no task")
        self.assertEqual(self.page[:4], b"\0\0\0\0")
        task.running.enter(7, 1, b"")
        self.module.progress(1, 10, "long " * 100)
        tag, done, total, note = self.noted()
        self.assertEqual((tag, done, total), (7, 1, 10))
        self.assertTrue(note.startswith("long long") and len(note.encode()) <= task.MAX_NOTE, note)
        self.module.progress(True, decimal.Decimal("2.5"), "\u2603\ud800")
        self.assertEqual(self.noted(), (7, 1, 2.5, "\u2603\\ud800"))
        self.module.progress(4)
        self.assertEqual(self.noted(), (7, 4, 0, ""))
        for bad in (float("nan"), float("inf")):
            self.module.progress(bad)
            self.module.progress(1, bad)
        self.assertEqual(self.noted(), (7, 4, 0, ""))
        with self.assertRaises((TypeError, ValueError)):
            self.module.progress("many")

    def test_without_a_page_it_does_no_harm(self):
        task.running.page = None
        task.running.enter(7, 1, b"")
        self.module.progress(1)

    def test_cancelled_only_for_those_who_ask(self):
        self.addCleanup(signal.signal, signal.SIGTERM, signal.SIG_DFL)
        self.assertEqual(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)
        elsewhere = threading.Thread(target=self.module.cancelled)
        elsewhere.start()
        elsewhere.join()
        self.assertEqual(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)
        self.assertFalse(self.module.cancelled())
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertTrue(self.module.cancelled())
        task.running.enter(8, 1, b"")
        self.assertFalse(self.module.cancelled())

    def test_functions_that_use_it_are_pickled_by_name(self):
        sys.modules["faasctl_task"] = self.module
        self.addCleanup(sys.modules.pop, "faasctl_task")
        self.assertIs(pickle.loads(pickles.dump(self.module.progress, LIMIT)), self.module.progress)


if __name__ == "__main__":
    unittest.main()
