"""What the tasks of a chaos run do. Every execution writes a line with its name
when it begins, and one when it ends; one that returns, returns that name."""
import itertools
import os
import sys
import time

count = itertools.count()


def begin(log, x):
    name = "%d:%d:%d:%s" % (x, os.getpid(), next(count), os.urandom(4).hex())
    note(log, "b " + name)
    return name


def note(log, line):
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(out, (line + "\n").encode())
    os.close(out)


def end(log, name):
    note(log, "e " + name)
    return name


def work(log, x, took):
    name = begin(log, x)
    if took:
        time.sleep(took)
    return end(log, name)


def raises(log, x):
    begin(log, x)
    raise ValueError("call %d raises" % x)


def crash(log, x):
    begin(log, x)
    os.kill(os.getpid(), 11)


def hang(log, x):
    begin(log, x)
    while True:
        time.sleep(1)


def memory(log, x):
    begin(log, x)
    some = bytearray(32 << 20)
    return len(some + bytearray(4 << 30))


def flood(log, x):
    name = begin(log, x)
    for _ in range(256):
        sys.stdout.write("x" * 16384 + "\n")
    return end(log, name)


def mixed(log, x, what, *rest):
    return globals()[what](log, x, *rest)
