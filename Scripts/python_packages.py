"""Other people's WebSocket libraries for Python, in an environment of their own: what Scripts/interop, Scripts/compression
and the benchmarks run."""

import hashlib
import shutil
import subprocess
import sys

from harness import BUILD, ROOT, Trouble, last_line

HOME = BUILD / "interop"
TESTS = ROOT / "Interop"
REQUIREMENTS = TESTS / "requirements.txt"


def installed(home=HOME, requirements=REQUIREMENTS):
    """The path of the environment's Python; None if it is not there, or not as the requirements say."""
    python, stamp = home / "bin" / "python", home / "stamp"
    return python if stamp.exists() and stamp.read_text() == fingerprint(requirements) and python.exists() else None


def fingerprint(requirements):
    return hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()


def install(home=HOME, requirements=REQUIREMENTS):
    """Makes the environment, unless it is there and as the requirements say. Returns the path of its Python."""
    if python := installed(home, requirements):
        return python
    python = home / "bin" / "python"
    print(f"installing {requirements.relative_to(ROOT)} in {home}", file=sys.stderr)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    log = home / "setup.log"
    with open(log, "wb") as output:
        for step in (["venv", home], ["pip", "install", "--disable-pip-version-check", "--requirement", requirements]):
            interpreter = sys.executable if step[0] == "venv" else python
            if subprocess.run([interpreter, "-m", *map(str, step)], stdout=output, stderr=output).returncode != 0:
                raise Trouble(f"`python -m {' '.join(map(str, step))}` failed: {last_line(log)} (all of it: {log})")
    (home / "stamp").write_text(fingerprint(requirements))
    return python
