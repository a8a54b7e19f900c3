"""Runs a program that is killed when it makes a system call that a build must never need.

    confine.py PROGRAM ARGUMENTS…
    confine.py --refuse CALL,CALL PROGRAM ARGUMENTS…

With --refuse only these calls are forbidden, and they fail with EPERM instead of killing.
Killed are mounting, namespaces, changing roots, owners or devices, tracing, and everything that speaks to a network.
The rule is a seccomp filter, kept by the kernel over exec and fork; no privilege is needed to set it.
"""

import ctypes
import os
import struct
import sys

X86_64, AARCH64 = 0xC000003E, 0xC00000B7
# name: (number on x86_64, number on aarch64); None where the architecture has no such call.
FORBIDDEN = {
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
    "mknod": (133, None), "mknodat": (259, 33),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "bpf": (321, 280),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200),
    "setuid": (105, 146), "setgid": (106, 144), "setgroups": (116, 159), "capset": (126, 91),
}
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
KILL, ALLOW, REFUSE = 0x80000000, 0x7FFF0000, 0x00050001

arguments = sys.argv[1:]
action = KILL
if arguments[0] == "--refuse":
    action = REFUSE
    FORBIDDEN = {name: FORBIDDEN[name] for name in arguments[1].split(",")}
    arguments = arguments[2:]

machine = os.uname().machine
audit, column = {"x86_64": (X86_64, 0), "aarch64": (AARCH64, 1)}[machine]
numbers = [pair[column] for pair in FORBIDDEN.values() if pair[column] is not None]

program = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
for number in numbers:
    program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, action)]
program.append((RETURN, 0, 0, ALLOW))

code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]


libc = ctypes.CDLL(None, use_errno=True)
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2
rule = Filter(len(program), ctypes.cast(code, ctypes.c_void_p))
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(rule), 0, 0):
    sys.exit(f"cannot set the filter: {os.strerror(ctypes.get_errno())}")
os.execvp(arguments[0], arguments)
