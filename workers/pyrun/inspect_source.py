"""Reads a Python file without running it: python inspect_source.py NAME < file.

Prints one JSON object: {"functions": [...]} or {"error": {...}}.
"""
import ast
import io
import json
import os
import sys
import tokenize


def signature(tokens, node):
    """The parameters and the return annotation as they stand in the source, on one line."""
    depth, text, last, begun = 0, "", None, False
    start = next(i for i, t in enumerate(tokens) if t.start[0] >= node.lineno and t.string == "def" and t.start >= (node.lineno, node.col_offset))
    for token in tokens[start + 2:]:
        if token.type in (tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT):
            continue
        if token.string == ":" and depth == 0:
            break
        if token.string == "(" and depth == 0:
            begun = True
        if token.string in ("(", "[", "{"):
            depth += 1
        elif token.string in (")", "]", "}"):
            depth -= 1
        if not begun:  # type parameters
            continue
        if last is not None and token.start != last.end:
            if last.string not in ("(", "[", "{") and token.string not in (")", "]", "}"):
                text += " "
        if token.string in (")", "]", "}") and last is not None and last.string == "," and last.end[0] != token.start[0]:
            text = text.rstrip(" ,")
        text += token.string
        last = token
    return text


def paragraph(doc):
    return " ".join((doc or "").strip().split("\n\n")[0].split())


def needs_arguments(args):
    """Whether a function cannot be called without: the runner calls a setup() that can, before the first call."""
    positional = len(getattr(args, "posonlyargs", ())) + len(args.args)
    return positional > len(args.defaults) or None in args.kw_defaults


def functions(source, tree):
    tokens = list(tokenize.tokenize(io.BytesIO(source).readline))
    found = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            found.pop(node.name, None)  # the last definition of a name is the one that counts
            found[node.name] = {
                "name": node.name, "signature": signature(tokens, node), "doc": paragraph(ast.get_docstring(node)),
                "async": isinstance(node, ast.AsyncFunctionDef), "line": node.lineno, "generator": yields(node),
                "hook": node.name == "setup" and not needs_arguments(node.args),
            }
    return list(found.values())


def yields(node):
    """Whether a function is a generator: it yields itself, and not in a function within."""
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(inner))
    return False


def standard():
    names = set(sys.builtin_module_names) | {"__future__", "faasctl_task"}
    if hasattr(sys, "stdlib_module_names"):
        return names | set(sys.stdlib_module_names)
    for place in (os.path.dirname(os.__file__), os.path.join(os.path.dirname(os.__file__), "lib-dynload")):
        if os.path.isdir(place):
            names.update(entry.split(".")[0] for entry in os.listdir(place))
    return names - {"site-packages"}


def imports(tree):
    """The top-level modules that a file imports anywhere and that do not come with Python."""
    known, found = standard(), {}

    def note(name, line, optional):
        name = name.split(".")[0]
        if name and name not in known:
            one = found.setdefault(name, {"name": name, "line": line, "optional": optional})
            one["optional"] = one["optional"] and optional

    def walk(node, optional):
        if isinstance(node, ast.Import):
            for alias in node.names:
                note(alias.name, node.lineno, optional)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            note(node.module or "", node.lineno, optional)
        elif isinstance(node, ast.Try) and node.handlers:
            for child in node.body:
                walk(child, True)
            for child in node.handlers + node.orelse + node.finalbody:
                walk(child, optional)
            return
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for child in node.orelse:
                walk(child, optional)
            return
        for child in ast.iter_child_nodes(node):
            walk(child, optional)

    walk(tree, False)
    return sorted(found.values(), key=lambda one: one["line"])


def refusal(error, source):
    line, lines = (error.text or "").rstrip("\n"), source.decode("utf-8", "replace").splitlines()
    if not line and 0 < (error.lineno or 0) <= len(lines):  # the compiler has no text, only the parser
        line = lines[error.lineno - 1]
    return {"line": error.lineno or 1, "column": error.offset or 1, "text": line, "message": error.msg}


def inspect(source, name):
    try:
        tree = ast.parse(source, name)
        compile(source, name, "exec", dont_inherit=True)  # finds what the parser alone lets pass
        return {"functions": functions(source, tree), "imports": imports(tree)}
    except SyntaxError as error:
        return {"error": refusal(error, source)}
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:  # null bytes, nesting without end
        return {"error": {"line": 1, "column": 1, "text": "", "message": str(error) or type(error).__name__}}


if __name__ == "__main__":
    sys.stdout.buffer.write(json.dumps(inspect(sys.stdin.buffer.read(), sys.argv[1])).encode())
