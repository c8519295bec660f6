"""Run every benchmark in order, then write README.md. One that fails does not stop the others, but the exit
code says so.
"""

import subprocess
import sys
from pathlib import Path

from report import ORDER

FOLDER = Path(__file__).parent


def main(options: list[str]) -> int:
    """Run the scripts with the given options."""
    failed = []
    for name in ORDER:
        print(f"== {name}", file=sys.stderr, flush=True)
        if subprocess.run([sys.executable, str(FOLDER / f"{name}.py"), *options]).returncode:
            failed.append(name)
    if "--quick" not in options:
        for script in ("report.py", "memory_curve.py", "sizing.py"):
            subprocess.run([sys.executable, str(FOLDER / script)], check=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
