"""A function as it was registered, and one call of it."""
import io
import linecache
import pickle
import sys
import types
from importlib.util import decode_source

from . import pickles, surroundings, threads
from .protocol import JSON_CODEC, TOO_LARGE, UNSERIALIZABLE
from .values import ATOMS, TooLarge, decode_json, project, quote, safe_repr, scan_json
from .pickles import PRIVATE, dump, load
from .failures import Failed, message_of, raised, type_name, unloadable

MAX_SIDE_NODES = 200_000  # values in the projection of a dill call, where JSON is only a courtesy


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
            threads.settle_in()
            if surroundings.place is not None:
                surroundings.place.remember()
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
        function = pickles.dill.loads(self.data) if pickles.dill else pickle.loads(self.data)
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
