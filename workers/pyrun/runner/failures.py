"""How a call ended that has no result, as data, as text and as a pickle."""
import linecache
import os
import pickle
import platform
import sys
import traceback

from . import pickles
from .protocol import EXCEPTION, UNLOADABLE
from .values import MAX_MESSAGE, clip, safe_repr
from .pickles import PICKLE_PROTOCOL, PRIVATE, exception_pickle

MAX_TRACEBACK = 64 << 10
RUNNER = (lambda: 0).__code__.co_filename.rpartition("/")[0] + "/"  # how the names of our files begin
ASYNCIO = os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep  # not imported until needed: 30 ms


class Failed(Exception):
    """A call's end without a result: status, and what the parent is told."""

    def __init__(self, status, error, name, message, text="", exit_status=None, exception=None):
        self.status, self.error = status, error
        self.told = {"type": name, "message": clip(message, MAX_MESSAGE), "traceback": text}
        if exception is not None:
            self.told["exception"] = exception
        if exit_status is not None:
            self.told["exit"] = exit_status


def type_name(kind):
    module = getattr(kind, "__module__", "builtins")
    if module in ("builtins", "__main__") or str(module).startswith(PRIVATE):
        return kind.__qualname__
    return "%s.%s" % (module, kind.__qualname__)


def message_of(error):
    try:
        return str(error)
    except BaseException:
        return "<its message cannot be shown>"


def own_trace(error):
    """The traceback from the user's first own frame on."""
    trace, private = error.__traceback__, False
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith(RUNNER) and not (private and code.co_filename.startswith(ASYNCIO)):
            break
        private, trace = True, trace.tb_next
    return trace


class Description:
    """Tells exceptions as data: the traceback of each, what they come from, what they are made of."""

    def __init__(self, exceptions=20, frames=100, notes=16):
        self.exceptions, self.frames, self.notes, self.seen = exceptions, frames, notes, set()

    def of(self, error):
        """None for what is not told: there is too much, or it was told."""
        if error is None or self.exceptions == 0 or id(error) in self.seen:
            return None
        self.seen.add(id(error))
        self.exceptions -= 1
        told = {"type": type_name(type(error)), "message": clip(message_of(error), 1 << 10)}
        self.trace(error, told)
        notes = getattr(error, "__notes__", None)
        for note in notes if isinstance(notes, (list, tuple)) else ():
            if self.notes > 0 and isinstance(note, str):
                self.notes -= 1
                told.setdefault("notes", []).append(clip(note, 1 << 10))
        self.origin(error, told)
        members = getattr(error, "exceptions", None)
        if isinstance(members, (list, tuple)) and members and all(isinstance(member, BaseException) for member in members):
            group = [member for member in map(self.of, members) if member]
            told["group"], told["more"] = group, len(members) - len(group)
        return told

    def origin(self, error, told):
        """What it was raised from, or while what was handled."""
        name = "cause" if error.__cause__ is not None else "context"
        origin = error.__cause__ if error.__cause__ is not None else None if error.__suppress_context__ else error.__context__
        origin = self.of(origin)
        if origin:
            told[name] = origin

    def trace(self, error, told):
        frames = list(traceback.walk_tb(own_trace(error)))
        # The ends of a deep recursion tell what its middle repeats.
        room = min(40, self.frames)
        if len(frames) > room:
            told["cut"] = len(frames) - room
            frames = frames[:room // 4] + frames[len(frames) - (room - room // 4):]
        told["frames"] = [self.frame(frame.f_code, line, frame.f_globals) for frame, line in frames]
        self.frames -= len(frames)
        if issubclass(type(error), SyntaxError) and isinstance(error.lineno, int) and isinstance(error.text, str) and self.frames > 0:
            self.frames -= 1
            told["frames"].append({"file": clip(str(error.filename), 200), "line": error.lineno, "function": "", "source": clip(error.text.strip(), 200)})

    def frame(self, code, line, names):
        source = linecache.getline(code.co_filename, line or 0, names).strip()
        return {"file": clip(code.co_filename, 200), "line": line or 0, "function": clip(getattr(code, "co_qualname", code.co_name), 200), "source": clip(source, 200)}


def described(error):
    try:
        return Description().of(error)
    except BaseException:  # of a class whose every attribute is a trap
        return None


def traceback_text(error):
    """The traceback as Python prints it, from the user's first own frame on."""
    try:
        trace = own_trace(error)
        text = "".join(traceback.format_exception(type(error), error.with_traceback(trace), trace))
    except BaseException as trouble:
        text = "%s: %s\n(its traceback cannot be shown: %s)\n" % (type_name(type(error)), message_of(error), type(trouble).__name__)
    for name in list(sys.modules):
        if name.startswith(PRIVATE):
            text = text.replace(name + ".", "")
    if len(text) <= MAX_TRACEBACK // 4 or len(text.encode("utf-8", "backslashreplace")) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 8  # of characters, which have at most 4 bytes
    return text[:half] + "\n  [... %d characters cut ...]\n" % (len(text) - 2 * half) + text[-half:]


def raised(error):
    """The failure for what a function raised: also sys.exit and KeyboardInterrupt."""
    try:
        return told_by(error)
    except BaseException as trouble:  # an exception whose own methods raise
        name = type.__dict__["__name__"].__get__(type(error))
        return Failed(EXCEPTION, None, name, "<it cannot be told: %s>" % type(trouble).__name__)


def told_by(error):
    message, exit_status = message_of(error), None
    if issubclass(type(error), SystemExit):  # isinstance would ask the error itself
        code = SystemExit.code.__get__(error)
        message = "the function called sys.exit(%s)" % ("" if code is None else safe_repr(code))
        exit_status = 0 if code is None else code & 0xFF if isinstance(code, int) else 1
    return Failed(EXCEPTION, error, type_name(type(error)), message, traceback_text(error), exit_status, described(error))


def unloadable(what, error):
    message = "%s: %s" % (what, message_of(error))
    return Failed(UNLOADABLE, None, type_name(type(error)), message, traceback_text(error), None, described(error))


def alone(end):
    """The message for whoever is told nothing else, not even by which versions it was tried."""
    message = end.told["message"]
    if end.status != UNLOADABLE:
        return message
    versions = "Python %s, dill %s" % (platform.python_version(), pickles.dill.__version__ if pickles.dill else "missing")
    return "%s: %s (%s)" % (end.told["type"], message, versions)


def failed_pickle(end):
    if end.error is None:
        return pickle.dumps(RuntimeError(alone(end)), PICKLE_PROTOCOL)
    return exception_pickle(end.error, end.told["type"], end.told["message"])
