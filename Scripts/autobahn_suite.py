"""Installs Autobahn's test suite, which runs on Python 2.7 only, in `.venv-autobahn` at the root of the project.

A stamp with the digest of all that decides what is installed is written last: a finished installation is used as it is, one that was
cut short or that other pins made is built anew.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import ROOT, Trouble, last_line

HOME = ROOT / ".venv-autobahn"
PINS = ROOT / "Scripts" / "autobahn-pins.txt"
VIRTUALENV = "virtualenv==20.21.1"  # 20.22 and later no longer make environments for Python 2.7
BUILD_TOOLS = ["setuptools<45", "wheel", "incremental==16.10.1"]  # what the source packages among the pins are built with


def install():
    """Installs the suite unless it is there already. Returns the path of `wstest`."""
    wstest = HOME / "suite" / "bin" / "wstest"
    stamp = HOME / "stamp"
    wanted = hashlib.sha256(PINS.read_bytes() + repr((VIRTUALENV, BUILD_TOOLS)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted and wstest.exists():
        return wstest
    python = find_python2()
    install_system_packages()
    print(f"installing Autobahn's test suite in {HOME}", file=sys.stderr)
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    with open(HOME / "setup.log", "wb") as log:
        make_environment(python, log)
        pip = [HOME / "suite" / "bin" / "pip", "install"]
        step([*pip, *BUILD_TOOLS], log)
        step([*pip, "--no-deps", "--no-build-isolation", "-r", PINS], log)
        step([wstest, "--autobahnversion"], log)
    stamp.write_text(wanted)
    return wstest


def find_python2():
    """A Python 2.7 that runs: pyenv's, else the one on the path. (pyenv's shims are on the path also where they lead nowhere.)"""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = sorted(pyenv.glob("versions/2.7.*/bin/python2.7"), reverse=True)
    if found := shutil.which("python2.7"):
        candidates.append(Path(found))
    for candidate in candidates:
        if subprocess.run([candidate, "-c", "import ssl, zlib"], capture_output=True).returncode == 0:
            return candidate
    raise Trouble("Autobahn's test suite needs Python 2.7, which is not here: `pyenv install 2.7.18` brings it")


def make_environment(python, log):
    """An environment for Python 2.7, made by an old virtualenv that is thrown away afterwards."""
    with tempfile.TemporaryDirectory(prefix="duplex-virtualenv-") as maker:
        step([sys.executable, "-m", "venv", maker], log)
        step([f"{maker}/bin/pip", "install", VIRTUALENV], log)
        step([f"{maker}/bin/virtualenv", "--python", python, HOME / "suite"], log)


def step(arguments, log):
    """Runs one command of the installation; what it prints goes to the log."""
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_PYTHON_VERSION_WARNING": "1"}
    arguments = list(map(str, arguments))
    if subprocess.run(arguments, stdout=log, stderr=log, env={**os.environ, **quiet}).returncode != 0:
        raise Trouble(f"`{' '.join(arguments)}` failed: {last_line(log.name)} (all of it: {log.name})")


def install_system_packages():
    """Installs what the environment is built with, where it is missing: as root on Debian and its kin, else says what to install."""
    missing = []
    if subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True).returncode != 0:
        missing.append("python3-venv")
    if not shutil.which("cc"):
        missing += ["gcc", "libc6-dev"]  # ujson and wsaccel come as C source
    if platform.machine() != "x86_64":  # where there are no wheels of these two for Python 2.7
        missing += ["libffi-dev"] if not has_header("ffi.h") else []
        missing += ["libssl-dev"] if not has_header("openssl/ssl.h") else []
    if not missing:
        return
    command = f"apt-get install {' '.join(missing)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Trouble(f"Autobahn's test suite needs more of the system to be installed; on Debian: `{command}`")
    print(f"{command}, which Autobahn's test suite needs", file=sys.stderr)
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        if subprocess.run(["apt-get", "-qq", *arguments], stdout=sys.stderr).returncode != 0:
            raise Trouble(f"`{command}` failed; what it printed is above")


def has_header(name):
    """Whether the C compiler finds a header."""
    if not shutil.which("cc"):
        return False
    return subprocess.run(["cc", "-E", "-x", "c", "-"], input=f"#include <{name}>\n".encode(), capture_output=True).returncode == 0
