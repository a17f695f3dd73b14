"""Pickles one function of a file by value: python freeze_dill.py FILE ENTRY 3>answer.

The file is imported, so its top level runs, but not as __main__: what stands
under `if __name__ == "__main__"` does not. Writes JSON to descriptor 3.
"""
import inspect
import json
import os
import platform
import sys
import traceback
import types

PRIVATE = "_faasctl_frozen"


def stand_in():
    """What a file may import of faasctl: workers have the real one under the same name."""
    module = types.ModuleType("faasctl_task")
    module.task_id, module.attempt, module.cancelled = (lambda: ""), (lambda: 0), (lambda: False)
    module.progress = lambda done, total=0, note="": None
    for name in ("task_id", "attempt", "cancelled", "progress"):
        function = getattr(module, name)
        function.__module__, function.__name__, function.__qualname__ = module.__name__, name, name
    sys.modules[module.__name__] = module


def freeze(path, entry, weighing):
    import dill
    with open(path, "rb") as file:
        source = file.read()
    sys.path.insert(0, os.path.dirname(path))
    sys.argv = [path]
    stand_in()
    module = types.ModuleType(PRIVATE)
    module.__file__ = path
    sys.modules[PRIVATE] = module
    exec(compile(source, os.path.basename(path), "exec", dont_inherit=True), module.__dict__)
    function = getattr(module, entry, None)
    if not callable(function):
        raise LookupError("%s has no function named %r" % (os.path.basename(path), entry))
    del sys.modules[PRIVATE]  # what cannot be imported is pickled by value
    try:
        text = str(inspect.signature(function))
    except (TypeError, ValueError):
        text = ""
    answer = {"globals": weigh(dill, function)} if weighing else {}
    if any(g["error"] for g in answer.get("globals", ())):
        return dict(answer, pickle="", signature=text.replace(PRIVATE + ".", ""))
    return dict(answer, **{"pickle": dill.dumps(function, recurse=True, protocol=4).hex(), "signature": text.replace(PRIVATE + ".", "")})


def weigh(dill, function):
    """What the function takes along beside its code, the largest first."""
    found = []
    for name, value in dill.detect.globalvars(function, recurse=True).items():
        if isinstance(value, (types.ModuleType, types.FunctionType, type)) or name == "__name__":
            continue  # by reference, or small: code
        one = {"name": name, "type": type(value).__name__, "size": 0, "error": ""}
        try:
            one["size"] = len(dill.dumps(value, recurse=True, protocol=4))
        except BaseException as error:
            one["error"] = "%s: %s" % (type(error).__name__, error)
        found.append(one)
    return sorted(found, key=lambda one: -one["size"])


def main():
    try:
        answer = freeze(os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3:] == ["weigh"])
    except BaseException as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in (__file__, "<string>"):
            trace = trace.tb_next
        text = "".join(traceback.format_exception(type(error), error.with_traceback(trace), trace))
        answer = {"type": type(error).__name__, "message": str(error), "traceback": text.replace(PRIVATE + ".", "")}
    answer["python"] = ".".join(platform.python_version_tuple()[:2])
    data = json.dumps(answer).encode()
    while data:
        data = data[os.write(3, data):]
    os._exit(0)  # threads that the file started are not waited for


if __name__ == "__main__":
    __file__ = "<string>"
    main()
