"""A filter of system calls [seccomp(2)]: a list of what a function has no business with, for good.

It is a deny list: what is not named stays allowed. Rules look at arguments only where these are numbers, for
memory that they point to may change after the look.
"""

import ctypes
import functools
import struct
from collections.abc import Iterable

from rimward.edge.functions.syscalls import call, numbers, prctl

_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # classic BPF
_NR, _ARCH, _ARGUMENTS = 0, 4, 16  # where they are in what a filter sees
_X32 = 0x4000_0000  # another way to call x86-64's kernel
_X86_64 = 0xC000003E
_SET_NO_NEW_PRIVS, _SET_PDEATHSIG = 38, 1
_MODE_FILTER = 1
_THREAD = 0x0001_0000  # CLONE_THREAD
_NAMESPACES = 0x7E02_0080  # CLONE_NEW* of all kinds
_INET, _INET6, _NETLINK = 2, 10, 16

_NEVER = (  # of no use to any function, and a way out
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_send_signal", "pidfd_open", "pidfd_getfd",
    "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tkill", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "init_module", "finit_module", "delete_module",
    "kexec_load", "kexec_file_load", "bpf", "perf_event_open", "userfaultfd", "add_key", "request_key",
    "keyctl", "name_to_handle_at", "open_by_handle_at", "fanotify_init", "swapon", "swapoff", "reboot",
    "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "acct", "quotactl", "syslog", "vhangup",
    "sethostname", "setdomainname", "iopl", "ioperm",
)  # fmt: skip
_NETWORK = ("socket", "connect", "bind", "listen", "accept", "accept4")
_PROCESSES = ("fork", "vfork", "execve", "execveat")

_STEP = struct.Struct("=HBBI")
Step = tuple[int, int, int, int]  # code, jump if true, jump if false, value


def apply(*, pid: int, network: bool, processes: bool) -> None:
    """Filter this process's calls from now on; its threads must not be there yet.

    Raises:
        OSError: the kernel has no filters, or the machine is not known.
    """
    prctl(_SET_NO_NEW_PRIVS, 1)
    code = ctypes.create_string_buffer(compiled(pid, network, processes))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(code) // _STEP.size, ctypes.addressof(code)))
    call("seccomp", _MODE_FILTER, 0, ctypes.c_void_p(ctypes.addressof(head)))


@functools.cache
def compiled(pid: int, network: bool, processes: bool) -> bytes:  # noqa: FBT001 (a cache's key)
    """Return the filter as the kernel takes it, made once in a process.

    Raises:
        OSError: the machine is not known.
    """
    return b"".join(_STEP.pack(*step) for step in program(pid=pid, network=network, processes=processes))


def program(*, pid: int, network: bool, processes: bool) -> list[Step]:
    """Return the filter.

    Raises:
        OSError: the machine is not known.
    """
    known = numbers()
    if known is None:
        raise OSError(_ENOSYS, "this machine's system calls are not known")
    arch, calls = known
    steps: list[Step] = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _KILL)]
    steps.append((_LOAD, 0, 0, _NR))
    if arch == _X86_64:
        steps += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    network_calls = () if network else _NETWORK
    denied = (*_NEVER, *network_calls, *(() if processes else _PROCESSES))
    for name in denied:
        if name in calls:
            steps += [(_EQUAL, 0, 1, calls[name]), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    steps += [(_EQUAL, 0, 1, calls["clone3"]), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]  # its flags can't be seen
    for name in ("kill", "tgkill"):
        steps += _only(calls[name], 0, [pid])
    steps += _only(calls["prlimit64"], 0, [0, pid])
    steps += _but(calls["prctl"], 0, [_SET_PDEATHSIG])
    if network:
        steps += _only(calls["socket"], 0, [_INET, _INET6, _NETLINK])
    steps += _clone(calls["clone"], processes=processes)
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _only(number: int, argument: int, values: Iterable[int]) -> list[Step]:
    """Allow a call with some values of an argument alone."""
    allowed = [step for value in values for step in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]
    return _rule(number, argument, [*allowed, (_RETURN, 0, 0, _ERRNO | _EPERM)])


def _but(number: int, argument: int, values: Iterable[int]) -> list[Step]:
    """Allow a call but with some values of an argument."""
    denied = [step for value in values for step in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ERRNO | _EPERM))]
    return _rule(number, argument, [*denied, (_RETURN, 0, 0, _ALLOW)])


def _clone(number: int, *, processes: bool) -> list[Step]:
    """Allow threads; processes where they are asked for, but in no namespace of their own."""
    if processes:
        body = [(_ANY_BIT, 0, 1, _NAMESPACES), (_RETURN, 0, 0, _ERRNO | _EPERM), (_RETURN, 0, 0, _ALLOW)]
    else:
        body = [(_ANY_BIT, 0, 1, _THREAD), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    return _rule(number, 0, body)


def _rule(number: int, argument: int, body: list[Step]) -> list[Step]:
    """Return what runs for one call, with the lower half of one of its arguments at hand; it must return."""
    where = _ARGUMENTS + 8 * argument
    return [(_EQUAL, 0, len(body) + 1, number), (_LOAD, 0, 0, where), *body]
