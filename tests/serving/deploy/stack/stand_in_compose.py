"""In the place of docker-compose: says what a test wants, and keeps what it was told.

Its folder holds told.jsonl, a list of arguments a line, and scenario.json: `config` and `ps` are what these
commands print, `ps` a list of answers, the last of which stays; `fails` names a command that ends with 1.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
KEYS = ("ca.pem", "api_key", "operator_key", "grafana_password")


def main() -> int:
    arguments = sys.argv[1:]
    with (FOLDER / "told.jsonl").open("a") as told:
        told.write(json.dumps(arguments) + "\n")
    scenario = json.loads((FOLDER / "scenario.json").read_text())
    command = next(
        word
        for word in arguments
        if word in ("version", "ls", "config", "build", "up", "ps", "cp", "logs", "down")
    )
    if command == scenario.get("fails"):
        print("first line", file=sys.stderr)
        print("Cannot connect to the Docker daemon at unix:///var/run/docker.sock", file=sys.stderr)
        return 1
    if command == "version":
        print("5.6.1")
    elif command == "config":
        print(json.dumps(scenario["config"]))
    elif command == "ps":
        answers = scenario["ps"]
        print("\n".join(map(json.dumps, answers[0])))
        scenario["ps"] = answers[1:] or answers
        (FOLDER / "scenario.json").write_text(json.dumps(scenario))
    elif command == "cp":
        to = Path(arguments[-1])
        to.mkdir()
        for name in KEYS:
            (to / name).write_text(f"{name} of the volume\n")
    elif command == "logs":
        print(f"what {arguments[-1]} said last")
    elif command == "up":
        print(" Container regard-triton-a-1 Started", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
