"""Runs functions for faasctl inside one warm Python process.

The story: a Go parent starts this package, sends frames with function bodies and
calls on one pipe and reads one result frame per call from another. Neither is
stdin or stdout, which belong to the user's functions. A result is written
before the next call is entered, so a call that kills the process can take no
finished neighbour with it. Nothing is answered by a task's id: a call carries a
random tag, its result echoes it, and the parent does the rest.

Standard library only, Python 3.8 or later; dill is used where it can be
imported.
"""
import sys
import types
from importlib.machinery import ModuleSpec

# In this order: each uses only those before it.
MODULES = (
    "protocol",  # what both ends of the pipes say
    "values",  # values as JSON and as text
    "pickles",  # values as pickles
    "failures",  # how calls end that have no result
    "surroundings",  # directory, variables and limits of calls
    "threads",  # what a call leaves running in this process
    "functions",  # a function, and one call of it
    "task",  # the module faasctl_task
    "output",  # stdout and stderr
    "stage",  # puts all that back in order after each call
    "heir",  # a fork that runs one call
    "child",  # serves calls
)


def start(sources):
    """Makes the modules from their sources, which came through the pipe: files could be somebody else's. It does not return."""
    package = globals()["__name__"] = "__faasctl_runner__"
    # A clean __main__ for the functions, and for dill, which unpickles into it.
    sys.modules[package] = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    for name in MODULES:
        module = types.ModuleType("%s.%s" % (package, name))
        module.__package__, module.__spec__ = package, ModuleSpec(module.__name__, None)
        globals()[name] = sys.modules[module.__name__] = module
        exec(compile(sources.pop(b"%s.py" % name.encode()), "<faasctl runner/%s.py>" % name, "exec"), module.__dict__)
    module.main()
