"""Which threads a call leaves behind."""
import _thread
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

from runner import threads


class ThreadsTest(unittest.TestCase):
    def setUp(self):
        self.end = threading.Event()
        self.addCleanup(threads.residents.clear)
        self.addCleanup(self.end.set)
        self.before = threads.busy()

    def left(self):
        return threads.busy() - self.before

    def settled(self, count):
        """Waits until so many threads are busy that were not before."""
        for _ in range(6000):
            if len(self.left()) == count:
                return
            time.sleep(0.01)
        self.fail("%d threads are busy, not %d: %s" % (len(self.left()), count, self.left()))

    def test_a_thread_is_busy_until_it_ends(self):
        thread = threading.Thread(target=self.end.wait)
        thread.start()
        self.settled(1)
        self.assertEqual(self.left(), {thread})
        self.assertTrue(threads.left_behind())
        self.end.set()
        thread.join()
        self.settled(0)

    def test_a_bare_thread_is_seen(self):
        _thread.start_new_thread(self.end.wait, ())
        self.settled(1)

    def test_what_modules_start_may_stay(self):
        threading.Thread(target=self.end.wait).start()
        self.settled(1)
        threads.settle_in()
        self.assertFalse(threads.left_behind())
        threading.Thread(target=self.end.wait).start()
        self.settled(2)
        self.assertTrue(threads.left_behind())

    def test_an_executor_is_busy_while_it_has_work(self):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(abs, 1).result()
            self.settled(0)
            lock = _thread.allocate_lock()
            lock.acquire()
            work = [pool.submit(lock.acquire), pool.submit(lock.release)]  # a C function has no frame
            self.settled(1)
            self.assertTrue(threads.left_behind())
            lock.release()
            for future in work:
                future.result()
            self.settled(0)

    def test_a_pool_is_busy_while_it_owes_something(self):
        with ThreadPool(1) as pool:
            self.assertEqual(pool.map(abs, [-1]), [1])
            self.settled(0)
            work = pool.apply_async(self.end.wait)
            self.assertTrue(threads.left_behind())  # whether or not it has been handed out
            self.end.set()
            work.get()
            self.settled(0)

    def test_a_timer_is_busy(self):
        timer = threading.Timer(600, print)
        timer.start()
        self.settled(1)
        timer.cancel()
        self.settled(0)


if __name__ == "__main__":
    unittest.main()
