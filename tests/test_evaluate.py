"""Where an evaluation is written: named after what differs from defaults."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent

# In a process of its own: other binaries have flags of the same names.
SCRIPT = """
import pathlib, sys
from absl import flags
from ferjax import evaluate
from ferjax.defaults import default_config
holders = [flags.FLAGS[name] for name in flags.FLAGS]
for line in sys.stdin:
  for holder in holders:
    holder.unparse()
  flags.FLAGS(['evaluate', *line.split()])
  workdirs = [pathlib.Path(given) for given in flags.FLAGS.workdir]
  print(evaluate._folder(workdirs, default_config()).as_posix())
"""

FOLDERS = {
  '--workdir=w': 'w/eval/test',
  '--workdir=w --split=train': 'w/eval/train',
  '--workdir=w --dataset=fer2013': 'w/eval/test',
  '--workdir=w --dataset=a/b --split=validation': 'w/eval/validation-a-b',
  '--workdir=w --checkpoint=latest': 'w/eval/test-latest',
  '--workdir=w --tta=none': 'w/eval/test',
  '--workdir=w --tta=ten_crop': 'w/eval/test-ten_crop',
  '--workdir=w --temperature=fit --report': 'w/eval/test',
  '--workdir=w --workdir=v': 'w/eval/test-ensemble',
  '--workdir=w --workdir=v --dataset=mnist --checkpoint=9 --tta=flip': (
    'w/eval/test-mnist-9-flip-ensemble'
  ),
  '--workdir=w --workdir=v --output=x/y': 'x/y',
}


def test_explain_needs_a_report():
  done = subprocess.run(
    [sys.executable, '-m', 'ferjax.evaluate', '--workdir=w', '--explain=1'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )
  assert done.returncode == 2
  assert '--explain goes with --report' in done.stderr


def test_folders_say_what_differs():
  done = subprocess.run(
    [sys.executable, '-c', SCRIPT],
    cwd=ROOT,
    input='\n'.join(FOLDERS),
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )
  assert done.stdout.split() == list(FOLDERS.values()), done.stderr
