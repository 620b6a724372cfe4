"""What the figures were measured on: the machine and the versions of everything that ran."""

import os
import platform
import shutil
import sysconfig
from importlib.metadata import version as installed
from pathlib import Path

import msgspec

from benchmarks.rig.installing import version
from benchmarks.rig.native import HERE


def machine() -> dict[str, str]:
    """Return what there is to say, by name; peers that are not here yet have no version."""
    python = f"{platform.python_version()}, {_kind()}"
    packages = ("uvloop", "msgspec", "httptools", "nats-py", "paho-mqtt", "uvicorn")
    told = {
        "machine": f"{_processor()}, {os.cpu_count()} CPUs, Linux {platform.release()}",
        "load before the run": f"{os.getloadavg()[0]:.2f}",
        "python": python,
        "packages": ", ".join(f"{name} {installed(name)}" for name in packages),
        "npm": ", ".join(_npm()),
    }
    for name, command in (("mosquitto", "-h"), ("node", "--version"), ("wrk", "-v"), ("cc", "--version")):
        program = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
        told[name] = version(program, command) if program else "not installed"
    return told


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _kind() -> str:
    """Tell how the interpreter was built: without profiles the same steps take up to 1.3 times as long."""
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    flags = sysconfig.get_config_var("PY_CFLAGS_NODIST") or ""
    optimised = "--enable-optimizations" in arguments or "-fprofile-use" in flags
    return (
        "built with profile-guided optimisation" if optimised else "built without profile-guided optimisation"
    )


def _npm() -> list[str]:
    found: list[str] = []
    for path in sorted((HERE / "peers" / "npm").glob("*/package.json")):
        wanted = msgspec.json.decode(path.read_bytes())["dependencies"]
        found += [f"{name} {number}" for name, number in wanted.items()]
    return found
