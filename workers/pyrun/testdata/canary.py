"""Looks for a secret from inside a function, in every place that is known to leak some."""
import os
import re
import socket
import stat


def f(reversed_secret, paths, port, abstract, root, system):
    """Where the secret is seen. It comes reversed: our own memory is not to count as a find."""
    secret = reversed_secret[::-1].encode()
    found = []
    found += ["environment: " + name for name, value in os.environb.items() if secret in value or secret in name for name in [name.decode()]]
    found += ["descriptor %s" % fd for fd in descriptors() if secret in content("/proc/self/fd/%s" % fd)]
    found += ["%s" % path for path in processes() if secret in content(path)]
    found += ["memory of process %d" % pid for pid in others() if secret in memory(pid, secret)]
    found += ["file %s" % path for path in files(root, system) if secret in content(path)]
    found += ["path %s" % path for path in paths if sees(path)]
    if reaches(socket.AF_INET, ("127.0.0.1", port)):
        found.append("network")
    if reaches(socket.AF_UNIX, "\0" + abstract):
        found.append("abstract socket")
    return {"found": sorted(set(found)), "descriptors": descriptors(), "pids": sorted(others()), "uid": os.getuid()}


def content(path, limit=1 << 20):
    try:
        if not os.path.isdir(path) and (path.startswith("/proc/") or stat.S_ISREG(os.stat(path).st_mode)):
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                return os.read(fd, limit)
            finally:
                os.close(fd)
    except OSError:
        pass
    return b""


def descriptors():
    """Those that are open, without the runner's pipes and its copies of two, the working directory and the watch over it, the notes and the control socket."""
    return [int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 13 and os.path.exists("/proc/self/fd/" + fd)]


def others():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def processes():
    for pid in others() + ["self"]:
        for name in ("environ", "cmdline", "mountinfo", "comm"):
            yield "/proc/%s/%s" % (pid, name)
        try:
            for fd in os.listdir("/proc/%s/fd" % pid):
                target = os.readlink("/proc/%s/fd/%s" % (pid, fd))
                if target.startswith("/") and pid != "self":
                    yield "/proc/%s/fd/%s" % (pid, fd)
        except OSError:
            pass


def memory(pid, secret):
    """What of another process's memory holds the secret, as far as it is writable and not huge."""
    try:
        with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as mem:
            for line in maps:
                begin, end, mode = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
                begin, end = int(begin, 16), int(end, 16)
                if mode.startswith("rw") and end - begin < 64 << 20:
                    try:
                        mem.seek(begin)
                        if secret in mem.read(end - begin):
                            return secret
                    except (OSError, ValueError, OverflowError):
                        pass
    except OSError:
        pass
    return b""


def files(root, system):
    """All files below root, but those of the system, where nobody has put the secret."""
    for top, dirs, names in os.walk(root):
        dirs[:] = [d for d in dirs if os.path.join(top, d) not in system]
        for name in names:
            yield os.path.join(top, name)


def sees(path):
    try:
        if os.path.isdir(path):
            return bool(os.listdir(path))
        with open(path, "rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def reaches(family, address):
    try:
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.settimeout(2)
            s.connect(address)
            return True
    except OSError:
        return False
