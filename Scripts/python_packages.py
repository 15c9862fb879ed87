"""Other people's WebSocket libraries for Python, in an environment of their own: what Scripts/interop and Scripts/compression run."""

import hashlib
import shutil
import subprocess
import sys

from harness import BUILD, ROOT, Trouble, last_line

HOME = BUILD / "interop"
TESTS = ROOT / "Interop"


def install():
    """Makes the environment, unless it is there and as the requirements say. Returns the path of its Python."""
    requirements = TESTS / "requirements.txt"
    python, stamp = HOME / "bin" / "python", HOME / "stamp"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    print(f"installing what the tests need in {HOME}", file=sys.stderr)
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    log = HOME / "setup.log"
    with open(log, "wb") as output:
        for step in (["venv", HOME], ["pip", "install", "--disable-pip-version-check", "--requirement", requirements]):
            interpreter = sys.executable if step[0] == "venv" else python
            if subprocess.run([interpreter, "-m", *map(str, step)], stdout=output, stderr=output).returncode != 0:
                raise Trouble(f"`python -m {' '.join(map(str, step))}` failed: {last_line(log)} (all of it: {log})")
    stamp.write_text(wanted)
    return python
