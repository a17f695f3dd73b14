"""Runs functions for faasctl inside one warm Python process.

The story: a Go parent starts this file, sends frames with function bodies and
calls on one pipe and reads one result frame per call from another. Neither is
stdin or stdout, which belong to the user's functions. A result is written
before the next call is entered, so a call that kills the process can take no
finished neighbour with it. Nothing is answered by a task's id: a call carries a
random tag, its result echoes it, and the parent does the rest.

Standard library only, Python 3.8 or later; dill is used where it can be
imported.
"""
import _thread
import collections
import faulthandler
import io
import json
import json.decoder
import json.encoder
import linecache
import os
import pickle
import platform
import select
import signal
import struct
import sys
import time
import traceback
import types
import zlib
from _signal import getsignal  # the one of the signal module makes an enum of each answer: 1.5 us
from importlib.util import decode_source

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
QUICK = 200_000  # ns in which no call starts a process
FORKED = 1  # flag of a call: it runs in a fork of this process
FORK_PATIENCE = 1000  # ms after which a silent fork is looked after: what it started may hold its pipe

CACHED_BODIES = 64
MAX_REPR = MAX_MESSAGE = 4 << 10
MAX_TRACEBACK = 64 << 10
MAX_NOTE = 160
MAX_DEPTH = 200  # of the JSON projection
MAX_SIDE_NODES = 200_000  # values in the projection of a dill call, where JSON is only a courtesy
PICKLE_PROTOCOL = 4  # dill's own; every client since Python 3.4 reads it
PRIVATE = "_faasctl_"  # modules made from source bodies begin with this
RUNNER = (lambda: 0).__code__.co_filename
ASYNCIO = os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep  # not imported until needed: 30 ms

dill = None  # imported by main, after __main__ has been replaced


class TooLarge(Exception):
    """The value's encoding is above the payload limit."""


class NeedsDill(Exception):
    """The quick pickler met something that only dill pickles right."""


# ---------------------------------------------------------------- projection

ATOMS = frozenset((type(None), bool, int, float, str))
QUICK_INT = 1 << 64


def _make_encoder():
    """The C encoder of the json module, made once: json.dumps makes one per call."""
    make, quote = json.encoder.c_make_encoder, json.encoder.c_encode_basestring
    if make is None or quote is None:  # an interpreter without the accelerator
        return json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
    encode = make(None, None, quote, None, ":", ",", False, False, False)
    return lambda value: "".join(encode(value, 0))


# Bound now: what a function does to the json module is its own affair.
encode_native = _make_encoder()
encode_ascii = json.JSONEncoder().encode
decode_json = json.JSONDecoder().decode
scan_json = json.JSONDecoder().scan_once
quote = json.encoder.c_encode_basestring or json.encoder.py_encode_basestring


class Plain:
    """Tells whether a value is exactly what the C encoder makes of it; TooLarge above room bytes or nodes values."""

    def __init__(self, room, nodes):
        self.room, self.nodes = room, nodes

    def check(self, value, depth=MAX_DEPTH):
        kind = type(value)
        if kind in ATOMS:
            return self.atoms((kind,), (value,))
        if depth == 0:
            return False
        if kind is not dict and kind is not list and kind is not tuple:
            return False
        self.charge(len(value) + 1, 2 * len(value) + 1)  # brackets, commas, and a character for each
        if kind is dict:
            kinds = set(map(type, value))
            if not kinds <= {str} or not self.atoms(kinds, value):
                return False
            value = value.values()
        kinds = set(map(type, value))
        if kinds <= ATOMS:
            return self.atoms(kinds, value)
        if kinds & ATOMS and not self.atoms(kinds & ATOMS, [v for v in value if type(v) in ATOMS]):
            return False
        for item in value:
            if type(item) not in ATOMS and not self.check(item, depth - 1):
                return False
        return True

    def atoms(self, kinds, values):
        """Charges the characters of values, whose types are kinds. Integers may have too many digits."""
        if str in kinds:
            self.charge(0, sum(map(len, values if len(kinds) == 1 else [v for v in values if type(v) is str])))
        if int in kinds:
            ints = values if len(kinds) == 1 else [v for v in values if type(v) is int]
            return max(ints, default=0) < QUICK_INT and min(ints, default=0) > -QUICK_INT
        return True

    def charge(self, nodes, room):
        """Room is charged at the least that a value costs in JSON, so that nothing is refused that fits."""
        self.nodes -= nodes
        self.room -= room
        if self.room < 0 or self.nodes < 0:
            raise TooLarge


class Projection:
    """Writes any value as strict JSON: the slow, exact way. It never fails but with TooLarge."""

    def __init__(self, room, nodes):
        self.room, self.nodes, self.parts, self.open = room, nodes, [], set()

    def text(self, value):
        self.write(value, MAX_DEPTH)
        return "".join(self.parts)

    def put(self, text):
        self.room -= len(text)
        if self.room < 0:
            raise TooLarge
        self.parts.append(text)

    def write(self, value, depth):
        self.nodes -= 1
        if self.nodes < 0:
            raise TooLarge
        if value is None or value is True or value is False:
            self.put({None: "null", True: "true", False: "false"}[value])
        elif isinstance(value, str):
            self.string(str.__str__(value))
        elif isinstance(value, int):
            value = int.__int__(value)
            if -QUICK_INT < value < QUICK_INT or value.bit_length() < 8192:
                self.put(int.__repr__(value))
            else:  # above the interpreter's limit on digits, or nearly: hex has none
                self.repr(clip(hex(value), MAX_REPR) if value.bit_length() < 1 << 20 else "<int of %d bits>" % value.bit_length())
        elif isinstance(value, float):
            value = float.__float__(value)
            if value - value == 0:
                self.put(float.__repr__(value))
            else:
                self.put('{"$float":"%s"}' % float.__repr__(value))
        elif isinstance(value, (list, tuple, dict, set, frozenset)):
            self.container(value, depth)
        elif isinstance(value, (bytes, bytearray)):
            import base64
            if memoryview(value).nbytes > self.room:
                raise TooLarge
            self.put('{"$bytes":"%s"}' % base64.b64encode(value).decode())
        else:
            self.other(value)

    def string(self, value):
        if len(value) > self.room:
            raise TooLarge
        try:
            value.encode()
            self.put(quote(value))
        except UnicodeEncodeError:  # a lone surrogate is no text
            self.repr(repr(value))

    def repr(self, text):
        self.put('{"$repr":%s}' % quote(clip(text, MAX_REPR)))

    def container(self, value, depth):
        if id(value) in self.open or depth == 0:
            self.repr("{...}" if isinstance(value, dict) else "[...]")
            return
        self.open.add(id(value))
        depth -= 1
        if isinstance(value, dict):
            items = list(dict.items(value))
            if all(isinstance(key, str) and encodes(key) for key, _ in items):
                self.sequence("{", items, "}", lambda item: (self.string(str.__str__(item[0])), self.put(":"), self.write(item[1], depth)))
            else:
                self.sequence('{"$map":[', items, "]}", lambda item: self.sequence("[", item, "]", lambda part: self.write(part, depth)))
        elif isinstance(value, (set, frozenset)):
            self.sequence('{"$set":[', sorted_if_possible(members(value)), "]}", lambda item: self.write(item, depth))
        else:
            self.sequence("[", members(value), "]", lambda item: self.write(item, depth))
        self.open.discard(id(value))

    def sequence(self, begin, items, end, write):
        self.put(begin)
        for index, item in enumerate(items):
            if index:
                self.put(",")
            write(item)
        self.put(end)

    def other(self, value):
        import datetime
        if isinstance(value, (datetime.date, datetime.time)):  # a datetime is a date
            try:
                self.string(str(value.isoformat()))
                return
            except TooLarge:
                raise
            except Exception:
                pass
        self.repr(safe_repr(value))


def encodes(text):
    try:
        str.encode(text)
        return True
    except UnicodeEncodeError:
        return False


def members(value):
    """What a list, tuple or set holds, whatever its class says."""
    base = next(kind for kind in (list, tuple, set, frozenset) if isinstance(value, kind))
    return [*base.__iter__(value)]


def sorted_if_possible(values):
    """Sets have no order: give the same one for the same set where their members have one."""
    try:
        return sorted(values)
    except BaseException:
        return values


CONSTANTS = {None: b"null", True: b"true", False: b"false"}


def project(value, room, nodes=1 << 62):
    """Returns value as strict JSON in UTF-8; TooLarge above room bytes or nodes values."""
    kind = type(value)  # the commonest values first, as the encoder would write them
    if kind is int and -QUICK_INT < value < QUICK_INT and room >= 32:
        return b"%d" % value
    if (value is None or kind is bool) and room >= 32:
        return CONSTANTS[value]
    try:
        if Plain(room, nodes).check(value):
            encoded = encode_native(value).encode()
            if len(encoded) <= room:
                return encoded
            raise TooLarge
    except (ValueError, RecursionError):  # not a number, a lone surrogate, too deep
        pass
    try:
        encoded = Projection(room, nodes).text(value).encode()
        if len(encoded) <= room:
            return encoded
    except TooLarge:
        raise
    except BaseException:  # a value whose own methods raise
        return ('{"$repr":%s}' % quote(safe_repr(value))).encode()
    raise TooLarge


def clip(text, limit):
    """Shortens text to limit bytes of UTF-8; lone surrogates are escaped, so that it always encodes."""
    data = text[:limit + 1].encode("utf-8", "backslashreplace")
    if len(data) <= limit and len(text) <= limit:
        return data.decode()
    return data[:limit - 3].decode("utf-8", "ignore") + "\u2026"


def safe_repr(value):
    """At most 4 KiB of repr(value), whatever its class does, without building a huge one for a builtin."""
    try:
        kind = type(value)
        if kind is int and -QUICK_INT < value < QUICK_INT:
            return repr(value)
        if kind in (str, bytes, bytearray):
            return clip(repr(value[:MAX_REPR]), MAX_REPR) if len(value) > MAX_REPR else clip(repr(value), MAX_REPR)
        if kind in (list, tuple, dict, set, frozenset):
            return clip(_brief(value, MAX_REPR, 8)[0], MAX_REPR)
        if kind is int and value.bit_length() > 8192:
            return "<int of %d bits>" % value.bit_length()
        text = repr(value)
        return clip(text, MAX_REPR) if len(text) > 1000 or not text.isascii() else text
    except BaseException as error:  # also what a hostile __repr__ raises
        return "<%s: its repr failed: %s>" % (type(value).__name__, type(error).__name__)


def _brief(value, room, depth):
    """repr of a builtin container that stops once it has filled room. Returns it and the room left."""
    kind = type(value)
    if kind not in (list, tuple, dict, set, frozenset):
        text = safe_repr(value)
        return text, room - len(text)
    begin, end = {list: "[]", tuple: "()", dict: "{}", set: "{}"}.get(kind, ("frozenset({", "})"))
    if not value:
        return repr(value), room - 2
    if depth == 0:
        return begin + "..." + end, room - 5
    parts = []
    for item in value:
        if room <= 0:
            parts.append("...")
            break
        text, room = _brief(item, room, depth - 1)
        if kind is dict:
            more, room = _brief(value[item], room, depth - 1)
            text += ": " + more
        parts.append(text)
        room -= 2
    if kind is tuple and len(parts) == 1:
        end = ",)"
    return begin + ", ".join(parts) + end, room


# ------------------------------------------------------------------ pickling

class Bounded:
    """A file for a pickler that stops it once the payload limit is passed."""

    def __init__(self, limit):
        self.room, self.parts = limit, []

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise TooLarge
        self.parts.append(bytes(data))
        return len(data)


def importable(thing):
    """Whether a class or function is found where it says it lives, in a module others can import too."""
    module, path = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "<locals>")
    if not isinstance(module, str) or module == "__main__" or module.startswith(PRIVATE) or "<locals>" in path:
        return False
    found = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found is thing


class QuickPickler(pickle.Pickler):
    """The C pickler for whatever it pickles as dill does; NeedsDill for everything else."""

    def reducer_override(self, value):
        kind = type(value)
        if issubclass(kind, type) or kind is types.FunctionType or kind is types.BuiltinFunctionType:
            if not importable(value):
                raise NeedsDill
        elif dill is not None and kind in dill.Pickler.dispatch:
            raise NeedsDill
        return NotImplemented


class QuickUnpickler(pickle.Unpickler):
    """The C unpickler with the names that dill adds to the world."""

    def find_class(self, module, name):
        if module == "__builtin__" and name == "__main__":
            return sys.modules["__main__"].__dict__
        if module == "__builtin__" and name == "NoneType":
            return type(None)
        return super().find_class("dill._dill" if module == "dill.dill" else module, name)


def dump(value, limit):
    """Pickles value as dill would; TooLarge above limit bytes."""
    if type(value) in ATOMS or type(value) is bytes:
        data = pickle.dumps(value, PICKLE_PROTOCOL)
        if len(data) > limit:
            raise TooLarge
        return data
    sink = Bounded(limit)
    try:
        QuickPickler(sink, PICKLE_PROTOCOL).dump(value)
    except (TooLarge, RecursionError, MemoryError):
        raise
    except Exception:  # NeedsDill, and all that dill may know better
        sink = Bounded(limit)
        if dill is None:
            pickle.Pickler(sink, PICKLE_PROTOCOL).dump(value)
        else:
            _dump_dill(value, sink)
    return b"".join(sink.parts)


def _dump_dill(value, sink):
    """Pickles by value what lives in a source body: nobody else can import its private module."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(PRIVATE)}
    try:
        dill.dump(value, sink, protocol=PICKLE_PROTOCOL, recurse=True)
    finally:
        sys.modules.update(hidden)


def load(data):
    return QuickUnpickler(io.BytesIO(data)).load()


BARE = ("builtins", "copyreg", "collections", "datetime", "decimal", "fractions", "uuid")


class BareUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if module not in BARE:
            raise pickle.UnpicklingError(module)
        return super().find_class(module, name)


def exception_pickle(error, name, message):
    """Pickles an exception so that any bare interpreter can load it: the original where that is possible."""
    kind = type(error)
    try:
        if kind.__module__ == "builtins":
            sink = Bounded(1 << 20)
            pickle.Pickler(sink, PICKLE_PROTOCOL).dump(error)
            data = b"".join(sink.parts)
            again = BareUnpickler(io.BytesIO(data)).load()
            if type(again) is kind and repr(again.args) == repr(error.args):
                return data
    except BaseException:  # a member that cannot be pickled, or not without its module
        pass
    return pickle.dumps(RuntimeError("%s: %s" % (name, message)), PICKLE_PROTOCOL)


# ------------------------------------------------------------------ failures

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
        if code.co_filename != RUNNER and not (private and code.co_filename.startswith(ASYNCIO)):
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
    versions = "Python %s, dill %s" % (platform.python_version(), dill.__version__ if dill else "missing")
    message = "%s: %s: %s (%s)" % (what, type_name(type(error)), message_of(error), versions)
    return Failed(UNLOADABLE, None, type_name(type(error)), message, traceback_text(error), None, described(error))


# ----------------------------------------------------------------- functions

class Body:
    """A function as it was registered, made callable by its first call."""

    def __init__(self, description, data):
        self.codec, self.entry = description["codec"], description["entry"]
        self.file = description["file"] or "function.py"
        self.module = PRIVATE + description["hash"][:16]
        self.data, self.lines, self.function = data, None, None

    def callable(self, tell=lambda begins: None):
        """The function. The first time, its source is run and then its setup(), of which tell hears."""
        if self.lines is not None and linecache.cache.get(self.file, (0, 0, None))[2] is not self.lines:
            self.prime()
        if self.function is None:
            try:
                function = self.from_source() if self.codec == "source" else self.from_pickle()
            except BaseException as error:
                raise unloadable("the function cannot be loaded", error) from None
            self.set_up(tell)
            self.function, self.data = function, None
            if place is not None:
                place.remember()
        return self.function

    def set_up(self, tell):
        """Runs the module's own setup(), where it has one that can be called without arguments."""
        hook = getattr(sys.modules.get(self.module), "setup", None) if self.codec == "source" else None
        if self.entry == "setup" or type(hook) is not types.FunctionType or hook.__module__ != self.module or needs_arguments(hook):
            return
        tell(True)
        try:
            value = hook()
            if type(value) is types.CoroutineType:
                awaited(value)
        except BaseException as error:
            raise unloadable("the function's setup() failed", error) from None
        finally:
            tell(False)

    def prime(self):
        """Tracebacks show source lines from here; another version may have used the same file name."""
        linecache.cache[self.file] = (sum(map(len, self.lines)), None, self.lines, self.file)

    def from_source(self):
        code = compile(self.data, self.file, "exec", dont_inherit=True)
        self.lines = io.StringIO(decode_source(self.data)).readlines()
        self.prime()
        module = types.ModuleType(self.module)
        module.__file__ = self.file
        sys.modules[self.module] = module
        exec(code, module.__dict__)
        function = getattr(module, self.entry, None)
        if not callable(function):
            raise LookupError("%s has no function named %r" % (self.file, self.entry))
        return function

    def from_pickle(self):
        function = dill.loads(self.data) if dill else pickle.loads(self.data)
        if not callable(function):
            raise TypeError("the body is %s, not a function" % type_name(type(function)))
        return function


def needs_arguments(function):
    code = function.__code__
    return code.co_argcount > len(function.__defaults__ or ()) or code.co_kwonlyargcount > len(function.__kwdefaults__ or ())


def decoded(text):
    """decode_json without looking for white space around the value, which our own callers send none of."""
    try:
        value, end = scan_json(text, 0)
        if end == len(text):
            return value
    except StopIteration:
        pass
    return decode_json(text)  # it knows what is wrong


def arguments(codec, data):
    try:
        args, kwargs = decoded(data.decode()) if codec == JSON_CODEC else load(data)
        if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
            raise TypeError("expected a list of arguments and a mapping of keywords")
        return args, kwargs
    except BaseException as error:
        raise unloadable("the arguments cannot be loaded", error) from None


def awaited(value):
    """Runs what an async function returned, in an event loop of its own."""
    import asyncio

    async def wait():
        return await value

    return asyncio.run(wait())


def execute(body, codec, data, limit, tell=lambda begins: None):
    """Runs one call. Returns (json, pickle, repr); raises Failed."""
    function = body.callable(tell)
    args, kwargs = arguments(codec, data)
    try:
        value = function(*args, **kwargs)
        kind = type(value)
        if kind not in ATOMS and (kind is types.CoroutineType or hasattr(kind, "__await__")):
            value = awaited(value)
    except BaseException as error:
        raise raised(error) from None
    if codec == JSON_CODEC:
        try:
            return project(value, limit), b"", safe_repr(value)
        except TooLarge:
            raise too_large(limit) from None
    try:
        pickled = dump(value, limit)
    except TooLarge:
        raise too_large(limit) from None
    except BaseException as error:
        message = "the result cannot be pickled: %s: %s" % (type_name(type(error)), message_of(error))
        raise Failed(UNSERIALIZABLE, None, type_name(type(error)), message) from None
    text = safe_repr(value)
    try:
        return project(value, limit, MAX_SIDE_NODES), pickled, text
    except TooLarge:
        return ('{"$repr":%s}' % quote(text)).encode(), pickled, text


def too_large(limit):
    return Failed(TOO_LARGE, None, "ResultTooLarge", "the result is larger than %d bytes" % limit)


# -------------------------------------------------------------------- frames

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


class Child:
    """Serves calls until the parent closes its end."""

    def __init__(self, pipes, stage, limit):
        self.pipes, self.stage, self.limit, self.pid = pipes, stage, limit, os.getpid()
        self.bodies, self.skips, self.begin, self.heir = collections.OrderedDict(), set(), 0, False

    def serve(self):
        while True:
            kind, payload = self.pipes.frame()
            if kind == CALLS:
                self.frame(payload)
            else:
                self.control(kind, payload)

    def control(self, kind, payload):
        if kind == BODIES:
            number, length = BODY.unpack_from(payload)
            data = BODY.size + length
            self.bodies[number] = Body(decode_json(payload[BODY.size:data].decode()), payload[data:])
            while len(self.bodies) > CACHED_BODIES:
                self.bodies.popitem(last=False)
        elif kind == LIMIT:
            bounds.set(*LIMITS.unpack(payload))
        elif kind == ENV:
            place.lend(decode_json(payload.decode()))
        elif kind == SKIP:
            self.skips.add(NUMBER.unpack(payload)[0])

    def frame(self, payload):
        """Runs the calls of one frame, one after another."""
        (count,) = NUMBER.unpack_from(payload)
        at = NUMBER.size
        while count:
            count -= 1
            tag, number, codec, flags, length, attempt, task = CALL.unpack_from(payload, at)
            at += CALL.size + length
            if tag in self.skips:
                self.pipes.send(DONE, RESULT.pack(tag, SKIPPED, 0, 0, 0, 0, 0, 0, 0))
                continue
            running.enter(tag, attempt, task)
            if flags & FORKED:
                pending, control = self.fork(tag, number, codec, payload[at - length:at])
            else:
                pending, control = self.finish(self.call(tag, number, codec, payload[at - length:at]))
            if count and (pending or control):
                self.wait(pending)
        self.skips.clear()

    def finish(self, result):
        """Hands in a call's result. Returns what Stage.settle does."""
        if os.getpid() != self.pid:
            os._exit(0)  # a fork made by the function came back here: it is not us
        running.leave()
        left = self.stage.left(result[4])
        pending, control = self.stage.settle()
        result[2] = (PENDING if pending else 0) | (LEFT if left else 0)
        self.pipes.send(DONE, RESULT.pack(*result[:9]) + b"".join(result[9:]))
        if left and not self.heir:
            self.stage.renew()
            pending = False
        if not self.heir:
            self.stage.tidy()
        return pending, control

    def fork(self, tag, number, codec, data):
        """Runs a call in a fork of this process, which itself only ever loads functions. Returns what finish does."""
        body, self.begin = self.body(number), time.perf_counter_ns()
        try:
            body.callable(self.teller(tag))
        except Failed as end:
            return self.finish(self.failure(tag, codec, end))
        self.stage.settle()  # what loading left in buffers would be printed by both
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a cancel is for the call: the parent ends us afterwards
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            read, write = os.pipe()
            pid = os.fork()
        except OSError as error:
            return self.finish(self.failure(tag, codec, raised(error)))
        if pid == 0:
            self.inherit(read, write, tag, number, codec, data)
        os.close(write)
        heir = Heir(pid, read, tag, self.limit)
        result = heir.result()
        os.close(read)
        if result is not None:
            self.pipes.send(DONE, result)
            left = result[RESULT_FLAGS] & LEFT
            if left:
                self.stage.renew()
            _, control = self.stage.settle()
            self.stage.tidy()
            return bool(result[RESULT_FLAGS] & PENDING and not left), control
        end = Failed(DIED, None, "", heir.why)
        end.told["wait"], end.told["peak"] = heir.status, heir.peak
        return self.finish(self.failure(tag, codec, end))

    def inherit(self, read, write, tag, number, codec, data):
        """The life of a fork. Its pipes to the parent were closed by leave_pipes."""
        status = 70
        try:
            os.dup2(write, self.pipes.results, False)
            os.close(read)
            os.close(write)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.pid, self.heir = os.getpid(), True
            self.stage.begin()
            self.finish(self.call(tag, number, codec, data))
            status = 0
        finally:
            os._exit(status)

    def wait(self, pending):
        """Lets the parent read what the call printed before the next one can print, and hears skips."""
        while pending or self.stage.asked():
            kind, payload = self.pipes.frame()
            pending = pending and kind != ACK
            self.control(kind, payload)

    def body(self, number):
        while number not in self.bodies:
            self.pipes.send(MISS, NUMBER.pack(number))
            self.control(*self.pipes.frame())
        self.bodies.move_to_end(number)
        return self.bodies[number]

    def call(self, tag, number, codec, data):
        """Returns a result's fields, its four byte strings last."""
        body, self.begin = self.body(number), time.perf_counter_ns()
        try:
            tell = self.teller(tag) if body.function is None else None
            value, pickled, text = execute(body, codec, data, self.limit, tell)
            text = text.encode("utf-8", "backslashreplace")
        except Failed as end:
            return self.failure(tag, codec, end)
        return self.fields(tag, OK, value, pickled, text, b"")

    def failure(self, tag, codec, end):
        return self.fields(tag, end.status, b"", failed_pickle(end) if codec == DILL_CODEC else b"", b"", encode_ascii(end.told).encode())

    def fields(self, tag, status, *parts):
        return [tag, status, 0, 0, time.perf_counter_ns() - self.begin, *map(len, parts), *parts]

    def teller(self, tag):
        """What tells the parent of a setup(): its time is not the call's."""
        def tell(begins):
            if not begins:
                self.begin += time.perf_counter_ns() - tell.began
            tell.began = time.perf_counter_ns()
            self.pipes.send(LOAD, LOADING.pack(tag, begins))
        return tell


class Heir:
    """A fork that runs one call, as the process sees it that it came from: it believes nothing but the form."""

    def __init__(self, pid, pipe, tag, limit):
        self.pid, self.pipe, self.tag, self.limit = pid, pipe, tag, limit
        self.peak = 0  # the most memory it had, in KiB
        self.status, self.why = None, ""  # how it ended, and why we ended it
        self.poll = select.poll()
        self.poll.register(pipe, select.POLLIN)

    def result(self):
        """Waits for its end. Returns the payload of its result; None if it had none that can be believed."""
        payload = self.frame()
        if payload is None and not self.why:
            for _ in range(200):  # a process that ends closes its pipe a moment before it can be waited for
                if self.ended():
                    break
                time.sleep(0.001)
            else:
                self.why = "closed pipes: its connection to faasctl was cut"
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.reap(0)
        return payload

    def frame(self):
        header = self.read(HEADER.size)
        if header is None:
            return None
        magic, kind, flags, length, crc = HEADER.unpack(header)
        if (magic, kind, flags) != (MAGIC, DONE, COMPLETE):
            self.why = "bytes on the result pipe that are no frame"
        elif length > 2 * self.limit + (1 << 20):
            self.why = "a frame of %d bytes on the result pipe" % length
        else:
            payload = self.read(length)
            if payload is not None and zlib.crc32(payload) != crc:
                self.why = "a frame with a wrong checksum on the result pipe"
            elif payload is not None and (length < RESULT.size or NUMBER.unpack_from(payload)[0] != self.tag):
                self.why = "a result for no call that runs"
            else:
                return payload
        return None

    def read(self, size):
        """None when it ended, or closed its pipe, before size bytes came."""
        parts = []
        while size:
            ended = self.status is not None
            if self.poll.poll(0 if ended else FORK_PATIENCE):
                data = os.read(self.pipe, min(size, 1 << 20))
                if not data:
                    return None
                parts.append(data)
                size -= len(data)
            elif ended:
                return None
            else:
                self.ended()
        return b"".join(parts)

    def ended(self):
        if self.status is None:
            self.reap(os.WNOHANG)
        return self.status is not None

    def reap(self, options):
        try:
            pid, status, used = os.wait4(self.pid, options)
            self.peak = used.ru_maxrss
        except ChildProcessError:  # somebody else in this process has waited for it
            pid, status = self.pid, 0
        if pid:
            self.status = status


def failed_pickle(end):
    if end.error is None:
        return pickle.dumps(RuntimeError(end.told["message"]), PICKLE_PROTOCOL)
    return exception_pickle(end.error, end.told["type"], end.told["message"])


# --------------------------------------------------------------- faasctl_task

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


# --------------------------------------------------------------------- stage

class Stage:
    """What a function finds around it, put back in order after each call."""

    def __init__(self, guarded=False):
        self.kept = [keep(1), keep(2)]
        self.stdin = sys.stdin
        self.out, self.err = stream(1), stream(2)
        self.recursion = sys.getrecursionlimit()
        self.interrupt = getsignal(signal.SIGINT)
        self.poll = select.poll()
        for descriptor in (STDOUT_READ_FD, STDERR_READ_FD, CALLS_FD):
            self.poll.register(descriptor, select.POLLIN)
        self.littered = False
        if place.watch >= 0:
            self.poll.register(place.watch, select.POLLIN)
        self.control = None  # made when it is needed: the socket module takes 5 ms
        self.guarded = guarded  # there is a control socket
        if guarded:
            os.set_inheritable(CONTROL_FD, False)
        self.begin()
        self.set()

    def begin(self):
        """Takes what was started up to now as nothing that a call has left."""
        self.children = children_used() if self.guarded else None

    def left(self, took):
        """Whether a call that took so long may have left processes that hold its pipes. Threads that it left are noted."""
        if not self.guarded:
            return False
        if strangers or thread_count():
            self.note_strangers()
        if took < QUICK:
            return False
        used, before = children_used(), self.children
        self.children = used
        return used != before or has_children()

    def note_strangers(self):
        """From now on, what these threads print is no call's. A pool's thread that waits for work will print for who gives it some."""
        others = set(map(int, os.listdir("/proc/self/task"))) - {get_native_id()}
        threading = sys.modules.get("threading")
        if threading is not None:
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if waits_for_work(frames.get(thread.ident)):
                    others.discard(thread.native_id)
        if others:
            self.connect()
            strangers.update(others)
            self.out.__class__ = self.err.__class__ = Shared
        strangers.intersection_update(others)  # at no time were they not noted

    def connect(self):
        global parent
        if self.control is None:
            import socket
            self.control = parent = socket.socket(fileno=CONTROL_FD)
        self.control.settimeout(None)

    def renew(self):
        """Takes new pipes for stdout and stderr: the old ones belong to what a call left running."""
        import array
        import socket
        self.connect()
        data, rights, _, _ = self.control.recvmsg(1, socket.CMSG_SPACE(4 * array.array("i").itemsize))
        if not rights:
            os._exit(0)  # the parent has gone, or has no more work
        new = array.array("i", rights[0][2])
        places = ((self.kept[0], 1), (self.kept[1], 2), (STDOUT_READ_FD,), (STDERR_READ_FD,))
        for descriptor, targets in zip(new, places):
            for target in targets:
                os.dup2(descriptor, target, target < 3)
            os.close(descriptor)

    def set(self):
        sys.stdin, sys.stdout, sys.stderr = self.stdin, self.out, self.err
        sys.__stdout__, sys.__stderr__ = self.out, self.err

    def settle(self):
        """Ends a call. Returns whether it printed something still unread, and whether the parent has word for us."""
        if sys.stdout is not self.out or sys.stderr is not self.err:
            for replaced in (sys.stdout, sys.stderr):
                flush(replaced)
        if not flush(self.out):
            self.out = stream(1)
        if not flush(self.err):
            self.err = stream(2)
        self.set()
        os.dup2(self.kept[0], 1)
        os.dup2(self.kept[1], 2)
        signal.alarm(0)
        if getsignal(signal.SIGTERM) != 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if getsignal(signal.SIGINT) is not self.interrupt:
            signal.signal(signal.SIGINT, self.interrupt)
        if sys.getrecursionlimit() != self.recursion:
            sys.setrecursionlimit(self.recursion)
        place.back()
        unwatched = place.path and place.watch < 0
        ready = self.poll.poll(0)
        if not ready:
            self.littered = unwatched
            return False, False
        ready = [descriptor for descriptor, _ in ready]
        self.littered = unwatched or place.watch in ready
        return STDOUT_READ_FD in ready or STDERR_READ_FD in ready, CALLS_FD in ready

    def tidy(self):
        """Removes what the call has left in its directory. Its result is out by then."""
        if self.littered:
            place.clean()
            self.littered = False

    def asked(self):
        return any(descriptor == CALLS_FD for descriptor, _ in self.poll.poll(0))


class Place:
    """The directory and the variables that a call finds: the same for each, whatever the one before has done to them."""

    LITTER = 0x80 | 0x100  # something moved in or made
    LOSS = 0x40 | 0x200  # moved away, removed: of the directory itself only its parent tells while we are in it

    def __init__(self, path):
        self.path, self.directory, self.watch = path, -1, -1  # nothing but a directory that the parent has made for us is ever emptied
        self.environ = os.environ
        self.current = getattr(os.environ, "_data", os.environ)  # comparing the mapping itself takes 60 us
        self.base, self.lent, self.moved = dict(self.environ), {}, False
        self.apply()
        if not path:
            return
        self.fchdir = os.fchdir
        for name in ("chdir", "fchdir"):
            setattr(os, name, self.noticed(getattr(os, name)))
        try:
            import ctypes
            self.libc = ctypes.CDLL(None, use_errno=True)
            self.watch = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (ImportError, OSError, AttributeError):
            pass
        self.enter()

    def enter(self):
        """Goes to the directory, made anew if it has been removed."""
        if self.directory >= 0:
            os.close(self.directory)
            self.directory = -1
        os.makedirs(self.path, 0o700, exist_ok=True)
        self.directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.fchdir(self.directory)
        if self.watch < 0:
            return
        self.libc.inotify_add_watch(self.watch, os.fsencode(os.path.dirname(self.path)), self.LOSS)  # where we may not, it cannot be removed
        if self.libc.inotify_add_watch(self.watch, os.fsencode(self.path), self.LITTER) < 0:
            os.close(self.watch)
            self.watch = -1

    def remember(self):
        """What loading a function did to the environment stays; what calls do to it does not, nor what was lent."""
        base = dict(self.environ)
        for name in self.lent:
            base.pop(name, None)
            if name in self.base:
                base[name] = self.base[name]
        self.base = base
        self.apply()

    def lend(self, variables):
        """What calls find beside that from now on."""
        self.lent = variables
        self.apply()

    def apply(self):
        self.variables = dict(self.base, **self.lent)
        if dict(self.environ) != self.variables:
            self.environ.clear()
            self.environ.update(self.variables)
        self.raw = dict(self.current)

    def back(self):
        if os.environ is not self.environ:
            os.environ = self.environ
        if self.current != self.raw:
            self.environ.clear()
            self.environ.update(self.variables)
        if self.moved:
            self.moved = False
            self.fchdir(self.directory)

    def noticed(self, change):
        """os.chdir, noticed: to go back after each call would take a fifth of what a short one takes."""
        def moving(*args, **named):
            self.moved = True
            return change(*args, **named)
        moving.__name__ = moving.__qualname__ = change.__name__
        moving.__doc__, moving.__module__ = change.__doc__, "os"
        return moving

    def clean(self):
        """Empties the directory. What it cannot remove, the parent will when this process has ended."""
        try:
            if not self.same():
                if os.path.islink(self.path) or os.path.isfile(self.path):
                    os.unlink(self.path)
                self.enter()
            if not self.mounted():
                self.empty()
        except (OSError, RecursionError):
            pass
        try:
            while self.watch >= 0 and os.read(self.watch, 1 << 16):
                pass
        except OSError:
            pass

    def empty(self):
        """Never leaves the directory: it goes by descriptors, and follows no link."""
        for _, directories, files, at in os.fwalk(".", topdown=False, follow_symlinks=False, dir_fd=self.directory):
            for name in files:
                remove(os.unlink, name, at)
            for name in directories:  # links to directories are among them
                remove(os.rmdir, name, at) or remove(os.unlink, name, at)

    def same(self):
        """Whether the directory is still where it was: it may have been removed, or be a link to another."""
        try:
            return os.path.samestat(os.lstat(self.path), os.fstat(self.directory))
        except OSError:
            return False

    def mounted(self):
        """Whether something is mounted in the directory: that is not ours to empty."""
        if os.geteuid() != 0:
            return False
        with open("/proc/self/mountinfo", "rb") as file:
            return (b" " + os.fsencode(self.path).replace(b" ", b"\\040") + b"/") in file.read()


def remove(how, name, at):
    try:
        how(name, dir_fd=at)
        return True
    except OSError:
        return False


class Bounds:
    """Limits of this process that the parent cannot set from outside. They are soft, and taken back for the next call."""

    def __init__(self):
        try:
            import resource
        except ImportError:
            self.limits = ()
            return
        self.setrlimit, self.limits = resource.setrlimit, []
        for kind in (resource.RLIMIT_DATA, resource.RLIMIT_NPROC):
            self.limits.append((kind,) + resource.getrlimit(kind))
        self.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def set(self, *values):
        for (kind, soft, hard), value in zip(self.limits, values):
            if value < 1 << 63:
                soft = value if hard < 0 else min(value, hard)
            self.setrlimit(kind, (soft, hard))


bounds = place = None  # made by main


strangers = set()  # native ids of threads that calls which have ended left running
parent = None  # where their output goes: set with the first of them
get_native_id = getattr(_thread, "get_native_id", lambda: 0)
thread_count = _thread._count


def waits_for_work(frame):
    """Whether a thread of concurrent.futures has nothing to do."""
    return frame is not None and frame.f_code.co_name == "_worker" and frame.f_code.co_filename.endswith(POOL)


POOL = os.path.join("concurrent", "futures", "thread.py")


def children_used():
    """What ended children have used: it changes with each of them."""
    try:
        from resource import getrusage, RUSAGE_CHILDREN
    except ImportError:
        return None
    return getrusage(RUSAGE_CHILDREN)


def has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return True
    except ChildProcessError:
        return False


class Descriptor(io.FileIO):
    """stdout or stderr of the call that runs. Threads that another one has left do not reach it."""

    def write(self, data):
        if strangers and get_native_id() in strangers:
            return overheard(self.fileno(), bytes(data))
        done, size = io.FileIO.write(self, data), len(data)
        while done < size:  # a signal came between
            done += io.FileIO.write(self, memoryview(data)[done:])
        return size


class Stream(io.TextIOWrapper):
    """sys.stdout or sys.stderr. There is no buffer between but its own, which is written out at each line's end."""


class Shared(Stream):
    """A Stream once there are strangers, who must not even put anything into the buffer."""

    def write(self, text):
        if strangers and get_native_id() in strangers:
            overheard(self.fileno(), text.encode("utf-8", "backslashreplace"))
            return len(text)
        return Stream.write(self, text)


def overheard(descriptor, data):
    """Tells the parent what a stranger prints, as far as it listens: nobody ever waits for that."""
    try:
        parent.send(b"%d" % descriptor + data[:4096], 0x40)  # MSG_DONTWAIT
    except OSError:
        pass
    return len(data)


def flush(target):
    try:
        target.flush()
        return not target.closed
    except BaseException:
        return False


def keep(descriptor):
    """A private copy of stdout or stderr, which children of the function do not inherit."""
    copy = os.dup(descriptor)
    os.set_inheritable(copy, False)
    return copy


def stream(descriptor):
    """A text stream that loses no line to a crash and that no character can make fail."""
    kind = Shared if strangers else Stream
    return kind(Descriptor(descriptor, "w", closefd=False), encoding="utf-8", errors="backslashreplace", line_buffering=True)


def unbuffer_c():
    """Makes printf of C code write at once: what sits in its buffer would be lost or end up with another call."""
    import ctypes
    libc = ctypes.CDLL(None)
    for name in ("stdout", "stderr"):
        libc.setvbuf(ctypes.c_void_p.in_dll(libc, name), None, 2, 0)


def leave_pipes():
    """In a process that a function forked: the pipes are not its own."""
    for descriptor in (CALLS_FD, RESULTS_FD):
        try:
            os.close(descriptor)
        except OSError:
            pass


def preload(names):
    """Imports modules that functions will want. Returns why those failed that did, by name."""
    lacking = {}
    for name in names:
        try:
            __import__(name)
        except BaseException as error:
            lacking[name] = "%s: %s" % (type_name(type(error)), clip(message_of(error), MAX_MESSAGE))
    return lacking


def main():
    global dill, bounds, place
    os.umask(0o077)
    for descriptor in (CALLS_FD, RESULTS_FD, STDOUT_READ_FD, STDERR_READ_FD):
        os.set_inheritable(descriptor, False)
    pipes = Pipes()
    setup = json.loads(pipes.frame()[1])
    globals()["__name__"] = "__faasctl_runner__"  # so are we called in warnings
    # A clean __main__ for the functions, and for dill, which unpickles into it.
    sys.modules["__faasctl_runner__"] = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = [""]
    try:
        import dill
    except BaseException:  # a broken one must not take the JSON functions with it
        dill = None
    try:
        unbuffer_c()
    except BaseException:
        pass
    bounds, place = Bounds(), Place(setup.get("work"))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        open_notes()
    except BaseException:  # progress is a courtesy
        faulthandler.enable(2)
    sys.modules["faasctl_task"] = task_module()
    stage = Stage(setup.get("guarded", False))
    os.register_at_fork(after_in_child=leave_pipes)
    lacking = preload(setup.get("preload") or ())
    stage.settle()
    pipes.send(HELLO, json.dumps({
        "protocol": PROTOCOL, "pid": os.getpid(), "python": platform.python_version(),
        "dill": dill.__version__ if dill else "", "executable": sys.executable, "platform": sys.platform,
        "lacking": lacking,
    }).encode())
    Child(pipes, stage, setup["max_payload"]).serve()


if __name__ == "__main__":
    main()
