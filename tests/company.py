"""Real processes of `ferjax` on this machine that train together."""

import os
import pathlib
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parent.parent


def free_port():
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


def flags(workdir, data_dir, steps=8):
  """Returns the flags of a training that takes seconds, without the config."""
  return [
    f'--workdir={workdir}',
    f'--config.data.dir={data_dir}',
    '--config.num_epochs=0',
    f'--config.num_steps={steps}',
    '--config.batch_size=16',
    '--config.model.dropout=0',
    '--config.log_every_steps=2',
    '--config.eval_every_epochs=0',
    '--config.eval_every_steps=4',
    '--config.checkpoint_every_epochs=0',
    '--config.checkpoint_every_steps=4',
  ]


class Company:
  """Several processes of one binary, each with an output of its own."""

  def __init__(self, folder, count, *given, devices=1, binary='main'):
    self._folder = folder
    folder.mkdir(parents=True, exist_ok=True)
    self._command = [sys.executable, '-m', f'ferjax.{binary}', *given]
    self._devices = devices
    self.count = count
    self.port = free_port()
    self.processes = {}

  def start(self, process, *more, program=()):
    """Starts one, with more flags; `program` in place of `-m ferjax.main`."""
    command = (
      [sys.executable, *program, *self._command[3:]]
      if program
      else (self._command)
    )
    if self.count > 1:
      command = [
        *command,
        f'--coordinator_address=127.0.0.1:{self.port}',
        f'--num_processes={self.count}',
        f'--process_id={process}',
      ]
    flag = f'--xla_force_host_platform_device_count={self._devices}'
    with self.output_path(process).open('w') as output:
      self.processes[process] = subprocess.Popen(
        [*command, *more],
        cwd=ROOT,
        env=dict(os.environ, XLA_FLAGS=flag, PYTHONUNBUFFERED='1'),
        stdout=output,
        stderr=subprocess.STDOUT,
      )

  def start_all(self, *more):
    for process in range(self.count):
      self.start(process, *more)
    return self

  def output_path(self, process):
    return self._folder / f'output-{process}'

  def output(self, process):
    return self.output_path(process).read_text(errors='replace')

  def wait_for(self, text, process=0, seconds=240):
    """Waits until a process has said something."""
    deadline = time.monotonic() + seconds
    while text not in self.output(process):
      assert self.processes[process].poll() is None, self.output(process)
      assert time.monotonic() < deadline, self.output(process)
      time.sleep(0.05)

  def statuses(self, seconds=240):
    """Waits for all to end; returns their exit statuses."""
    deadline = time.monotonic() + seconds
    return {
      i: each.wait(max(1, deadline - time.monotonic()))
      for i, each in self.processes.items()
    }

  def kill(self):
    for each in self.processes.values():
      each.kill()
      each.wait()


def finish(some):
  """Waits for all to finish; returns what each said."""
  statuses = some.statuses()
  assert set(statuses.values()) == {0}, some.output(0)
  return [some.output(i) for i in statuses]
