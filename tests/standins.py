"""Launch scripts under test, and the programs that stand in for others."""

import os
import pathlib
import subprocess
import sys

LAUNCH = pathlib.Path(__file__).parents[1] / 'launch'
# Where pip puts the programs of packages, such as linters.
SCRIPTS = pathlib.Path(sys.executable).parent


def program(path, text):
  """Writes an executable file and returns its path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  path.chmod(0o755)
  return str(path)


def launch(script, *args, timeout=100, **environment):
  """Runs a script of `launch/` to its end, at most `timeout` seconds."""
  return subprocess.run(
    [LAUNCH / script, *args],
    env=os.environ | environment,
    capture_output=True,
    text=True,
    timeout=timeout,
  )
