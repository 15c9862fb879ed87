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


def alone(requirements):
    """Beside X.txt there may be X-alone.txt: packages that are installed without those that they ask for."""
    path = requirements.with_name(f"{requirements.stem}-alone.txt")
    return path if path.exists() else None


def fingerprint(requirements):
    files = [requirements, alone(requirements)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file) + sys.version.encode()).hexdigest()


def install(home=HOME, requirements=REQUIREMENTS):
    """Makes the environment, unless it is there and as the requirements say. Returns the path of its Python."""
    if python := installed(home, requirements):
        return python
    python = home / "bin" / "python"
    print(f"installing {requirements.relative_to(ROOT)} in {home}", file=sys.stderr)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    log = home / "setup.log"
    pip = ["pip", "install", "--disable-pip-version-check"]
    steps = [["venv", home], [*pip, "--requirement", requirements]]
    if lonely := alone(requirements):
        steps.append([*pip, "--no-deps", "--requirement", lonely])
    with open(log, "wb") as output:
        for step in steps:
            interpreter = sys.executable if step[0] == "venv" else python
            if subprocess.run([interpreter, "-m", *map(str, step)], stdout=output, stderr=output).returncode != 0:
                raise Trouble(f"`python -m {' '.join(map(str, step))}` failed: {last_line(log)} (all of it: {log})")
    (home / "stamp").write_text(fingerprint(requirements))
    return python
