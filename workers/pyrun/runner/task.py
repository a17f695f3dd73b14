"""The call that runs, as functions know it: the module faasctl_task."""
import faulthandler
import os
import signal
import types
import zlib
from _signal import getsignal  # the one of the signal module makes an enum of each answer: 1.5 us

from .protocol import NOTES, NOTES_FD, NOTES_SIZE, NUMBER
from .values import clip

MAX_NOTE = 160


class Running:
    """The call that runs, as the module faasctl_task tells of it to functions."""

    def __init__(self):
        self.tag = self.attempt = 0
        self.task, self.cancelled, self.page = b"", False, None

    def enter(self, tag, attempt, task):
        self.tag, self.attempt, self.task, self.cancelled = tag, attempt, task, False

    def leave(self):
        self.tag = self.attempt = 0
        self.task = b""

    def note(self, done, total, note):
        """Leaves progress where the parent looks for it. Nothing is sent, so that it may be called often."""
        if self.page is not None and self.tag:
            note = clip(note, MAX_NOTE).encode()
            data = NOTES.pack(0, self.tag, done, total, len(note))[4:] + note
            self.page[0:4 + len(data)] = NUMBER.pack(zlib.crc32(data)) + data


running = Running()


def task_module():
    """The module that any function can import: it is here before the function's own imports."""

    def task_id():
        """The id of the task that runs, such as faasctl task show takes; "" when none does."""
        text = running.task.hex()
        return text and "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def attempt():
        """Which start of the task this is, from 1; 0 when none runs."""
        return running.attempt

    def progress(done, total=0, note=""):
        """Says how far the task has come. The last word counts; it is looked at about twice a second."""
        done, total = float(done), float(total)
        if done - done == 0 and total - total == 0:  # neither infinite nor nan
            running.note(done, total, str(note))

    def cancelled():
        """Whether the task's end was asked for. A function that asks goes on until its grace is over; others end at once."""
        if getsignal(signal.SIGTERM) == 0:
            try:
                signal.signal(signal.SIGTERM, asked_to_end)
            except ValueError:  # not the main thread
                pass
        return running.cancelled

    def asked_to_end(number, frame):
        running.cancelled = True

    module = types.ModuleType("faasctl_task", "What a function can know and say of its own call. Outside of faasctl there is no such module.")
    for function in (task_id, attempt, progress, cancelled):
        function.__module__, function.__qualname__ = module.__name__, function.__name__
        setattr(module, function.__name__, function)
    return module


def open_notes():
    """Maps the page for progress, and has Python write there what it says when it crashes."""
    import mmap
    os.set_inheritable(NOTES_FD, False)
    faulthandler.enable(NOTES_FD)
    running.page = mmap.mmap(NOTES_FD, NOTES_SIZE)
