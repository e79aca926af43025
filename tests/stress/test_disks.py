"""Disks that fill up, vanish or are read-only: one line, and nothing lost."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import resumable

from ferjax.checkpoint import Checkpoints

pytestmark = [pytest.mark.stress, pytest.mark.slow]
LONG = pytest.mark.long

MEGABYTE = 1 << 20
CHECKPOINT = 18 * MEGABYTE  # of the network below, more or less


@contextlib.contextmanager
def mounted(folder, megabytes):
  """Mounts a file system of a size in memory; skips the test if it cannot."""
  folder.mkdir()
  size = f'size={megabytes}m'
  done = subprocess.run(
    ['mount', '-t', 'tmpfs', '-o', size, 'none', folder],
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode:
    pytest.skip(f'cannot mount here: {done.stderr.strip()}')
  try:
    yield folder
  finally:
    subprocess.run(['umount', '--lazy', folder], check=True)


@pytest.fixture
def disk(tmp_path):
  if shutil.which('mount') is None:
    pytest.skip('there is no mount')
  with mounted(tmp_path / 'disk', 400) as folder:
    yield folder


def resize(folder, option):
  subprocess.run(['mount', '-o', f'remount,{option}', folder], check=True)


def fill(folder):
  with (
    (folder / 'filler').open('wb', buffering=0) as file,
    contextlib.suppress(OSError),
  ):
    while True:
      file.write(bytes(4096))


def wait_for_checkpoint(workdir, process, step=4):
  def is_there():
    names = [path.name for path in workdir.glob('checkpoints/*')]
    return any(name.isdecimal() and int(name) >= step for name in names)

  resumable.wait_for(is_there, process)


def only_line(output):
  """Returns the error line, of which there is one, and no traceback."""
  assert 'Traceback' not in output
  assert 'Exception ignored' not in output
  (line,) = [x for x in output.splitlines() if x.startswith('error: ')]
  return line


def saved_steps(workdir):
  with Checkpoints(workdir, read_only=True) as checkpoints:
    return checkpoints.steps()


# Megabytes that are left.
@pytest.mark.parametrize(
  'room', [pytest.param(0, marks=LONG), 3, pytest.param(9, marks=LONG)]
)
def test_a_full_disk_while_saving(disk, data_dir, room):
  workdir = disk / 'run'
  process = resumable.start(workdir, data_dir, 10_000)
  wait_for_checkpoint(workdir, process)
  left = shutil.disk_usage(disk).free - room * MEGABYTE
  with (
    (disk / 'filler').open('wb', buffering=0) as file,
    contextlib.suppress(OSError),
  ):
    for _ in range(0, left, MEGABYTE):
      file.write(bytes(MEGABYTE))
  line = only_line(resumable.finish(process, 4))
  assert 'No space left on device' in line
  steps = saved_steps(workdir)
  assert steps
  if 'no checkpoint can be written' in line:
    assert f'those of steps {steps} are whole' in line
    assert not list(workdir.glob('checkpoints/*tmp*'))
  (disk / 'filler').unlink()
  process = resumable.start(workdir, data_dir, steps[-1] + 4)
  output = process.communicate(timeout=300)[0]
  # The number of steps is part of what a run is: it is refused, not lost.
  assert 'holds a run that differs in num_steps' in output
  process = resumable.start(workdir, data_dir, 10_000)
  for line in process.stdout:
    if line.startswith('resumed at step '):
      break
  process.kill()
  process.communicate()
  assert line.startswith(f'resumed at step {steps[-1]} ')


def test_a_workdir_that_vanishes(disk, data_dir):
  workdir = disk / 'run'
  process = resumable.start(workdir, data_dir, 10_000)
  wait_for_checkpoint(workdir, process)
  workdir.rename(disk / 'elsewhere')
  line = only_line(resumable.finish(process, 4))
  assert str(workdir) in line
  assert saved_steps(disk / 'elsewhere')


def test_a_disk_that_becomes_read_only(disk, data_dir):
  workdir = disk / 'run'
  process = resumable.start(workdir, data_dir, 10_000)
  wait_for_checkpoint(workdir, process)
  # The same files once more on top, as a disk shows them after an error.
  subprocess.run(['mount', '--bind', disk, disk], check=True)
  try:
    subprocess.run(['mount', '-o', 'remount,bind,ro', disk], check=True)
    line = only_line(resumable.finish(process, 4))
  finally:
    subprocess.run(['umount', disk], check=True)
  assert 'Read-only file system' in line
  assert saved_steps(workdir)


def test_a_workdir_that_cannot_be_written_from_the_start(disk, data_dir):
  resize(disk, 'ro')
  output = resumable.finish(resumable.start(disk / 'run', data_dir, 8), 2)
  assert re.search(r'cannot write to the workdir .*; give another', output)


def test_a_disk_that_is_full_at_the_start(disk, data_dir):
  workdir = disk / 'run'
  process = resumable.start(workdir, data_dir, 10_000)
  wait_for_checkpoint(workdir, process)
  process.kill()
  process.communicate()
  fill(disk)
  for folder in (workdir, disk / 'new'):
    process = resumable.start(folder, data_dir, 10_000)
    line = only_line(resumable.finish(process, 4))
    assert 'No space left on device' in line
    assert str(folder) in line


@LONG
def test_evaluation_on_a_full_disk(disk, data_dir):
  workdir = disk / 'run'
  resumable.finish(resumable.start(workdir, data_dir, 8))
  fill(disk)
  command = resumable.command(workdir, data_dir, 8)[:3]
  command[2] = 'ferjax.evaluate'
  done = subprocess.run(
    [*command, f'--workdir={workdir}', '--split=test', '--report'],
    cwd=resumable.ROOT,
    env=dict(os.environ, XLA_FLAGS=''),
    capture_output=True,
    text=True,
    check=False,
    timeout=300,
  )
  assert done.returncode in (2, 4), done.stderr
  assert 'No space left on device' in only_line(done.stderr)
  assert pathlib.Path(workdir, 'config.json').stat().st_size
