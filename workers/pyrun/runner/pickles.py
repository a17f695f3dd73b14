"""Values as pickles: in C where that is what dill would do, by dill where it is there."""
import io
import pickle
import sys
import types

from .values import ATOMS, TooLarge

PICKLE_PROTOCOL = 4  # dill's own; every client since Python 3.4 reads it
PRIVATE = "_faasctl_"  # modules made from source bodies begin with this
dill = None  # imported by main


class NeedsDill(Exception):
    """The quick pickler met something that only dill pickles right."""


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
