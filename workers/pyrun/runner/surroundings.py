"""The directory, the variables and the limits that a call finds."""
import os


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
