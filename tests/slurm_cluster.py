"""A SLURM of two nodes on the loopback, with daemons of its own."""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import time

DAEMONS = ('munged', 'slurmctld', 'slurmd')
CLIENTS = ('sbatch', 'scancel', 'scontrol', 'sinfo', 'squeue', 'srun')
PACKAGES = 'slurmctld slurmd slurm-client munge'
PATH = f'{os.environ["PATH"]}:/usr/sbin:/sbin'

# The nodes are named by addresses, so that their tasks find each other.
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/linear
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=20
NodeName=127.0.0.1 NodeHostname={host} Port={ports[1]} CPUs=1
NodeName=127.0.0.2 NodeHostname={host} Port={ports[2]} CPUs=1
PartitionName=all Nodes=ALL Default=YES State=UP
"""


class CannotStartError(Exception):
  """The daemons are there and do not run; says what they logged."""


class Cluster:
  """Runs the commands of a SLURM that listens on ports of its own."""

  def __init__(self, folder: pathlib.Path) -> None:
    self.environment = {'SLURM_CONF': str(folder / 'slurm.conf'), 'PATH': PATH}

  def call(self, *command: str, **environment: str) -> str:
    """Returns what a command prints; it has a minute, and must not fail."""
    done = subprocess.run(
      command,
      env=os.environ | self.environment | environment,
      stdout=subprocess.PIPE,
      text=True,
      timeout=60,
      check=True,
    )
    return done.stdout.strip()

  def show(self, job: str) -> dict[str, str]:
    """Returns what SLURM knows of a job: `JobState`, `Restarts`, ..."""
    text = self.call('scontrol', 'show', 'job', '--oneliner', job)
    return dict(word.split('=', 1) for word in text.split() if '=' in word)

  def wait_for_restart(self, job: str, seconds: float) -> None:
    """Waits until a job has been requeued and runs again."""

    def is_requeued() -> bool:
      found = self.show(job)
      return (found['JobState'], found['Restarts']) == ('PENDING', '1')

    wait_for(is_requeued, f'job {job} is requeued', seconds)
    # SLURM holds it back for two minutes. Some seconds it needs: a node refuses
    # what starts in the very second of its last end, and the job fails.
    time.sleep(3)
    self.call('scontrol', 'update', f'JobId={job}', 'StartTime=now')
    wait_for(
      lambda: self.show(job)['JobState'] != 'PENDING',
      f'job {job} begins again',
      seconds,
    )


def missing() -> list[str]:
  """Returns the programs that this machine lacks."""
  return [x for x in DAEMONS + CLIENTS if not shutil.which(x, path=PATH)]


def wait_for(happens: Callable[[], object], what: str, seconds: float) -> None:
  """Waits until `happens()` is true, at most some seconds."""
  deadline = time.monotonic() + seconds
  while not happens():
    assert time.monotonic() < deadline, f'{what}: not in {seconds} s'
    time.sleep(0.2)


@contextlib.contextmanager
def start(folder: pathlib.Path) -> Iterator[Cluster]:
  """Starts the daemons, and stops them and all their jobs at the end.

  Args:
    folder: an empty one of a short name, for all that they write.

  Raises:
    CannotStartError: when they end, or the nodes are not ready in a minute.
  """
  folder.chmod(0o711)  # munged wants everybody to reach its socket
  _configure(folder)
  cluster = Cluster(folder)
  with contextlib.ExitStack() as stack:
    munge = [f'--{x}-file={folder}/munge.{x}' for x in ('key', 'pid', 'seed')]
    munge += [f'--log-file={folder}/munge.log', '--foreground', '--force']
    munge += [f'--socket={folder}/munge.socket']
    daemons = [_Daemon(stack, cluster, folder, 'munged', *munge)]
    _wait(daemons, lambda: (folder / 'munge.socket').exists())
    daemons += [_Daemon(stack, cluster, folder, 'slurmctld', '-D', '-c')]
    for node in ('127.0.0.1', '127.0.0.2'):
      daemons += [_Daemon(stack, cluster, folder, 'slurmd', '-D', '-N', node)]
    _wait(daemons, lambda: _are_idle(cluster))
    stack.callback(_end_jobs, cluster)
    yield cluster


class _Daemon:
  """One process, which ends with the stack, and if this one is killed."""

  def __init__(
    self,
    stack: contextlib.ExitStack,
    cluster: Cluster,
    folder: pathlib.Path,
    name: str,
    *flags: str,
  ) -> None:
    self.name = name
    self.log = folder / f'{name}{flags[-1] if name == "slurmd" else ""}.out'
    self.process = subprocess.Popen(
      ['setpriv', '--pdeathsig', 'TERM', name, *flags],
      env=os.environ | cluster.environment,
      stdout=stack.enter_context(self.log.open('w')),
      stderr=subprocess.STDOUT,
    )
    stack.callback(self.stop)

  def stop(self) -> None:
    self.process.terminate()
    try:
      self.process.wait(30)
    except subprocess.TimeoutExpired:
      self.process.kill()
      self.process.wait(30)


def _configure(folder: pathlib.Path) -> None:
  key = folder / 'munge.key'
  key.write_bytes(os.urandom(256))
  key.chmod(0o600)
  with contextlib.ExitStack() as stack:
    probes = [stack.enter_context(socket.socket()) for _ in range(3)]
    for probe in probes:
      probe.bind(('127.0.0.1', 0))
    text = CONFIG.format(
      folder=folder,
      host=socket.gethostname().partition('.')[0],
      ports=[probe.getsockname()[1] for probe in probes],
      user=pwd.getpwuid(os.getuid()).pw_name,
    )
  (folder / 'slurm.conf').write_text(text)
  (folder / 'state').mkdir()


def _are_idle(cluster: Cluster) -> bool:
  try:
    states = cluster.call('sinfo', '--noheader', '--Node', '--format=%T')
  except subprocess.CalledProcessError:  # nobody answers yet
    return False
  return states.split() == ['idle', 'idle']


def _wait(daemons: list[_Daemon], happens: Callable[[], bool]) -> None:
  """Waits for the daemons; raises with their last words if they fail."""
  deadline = time.monotonic() + 60
  while not happens():
    ended = [x for x in daemons if x.process.poll() is not None]
    if ended or time.monotonic() > deadline:
      last = [
        f'{x.log.name}: {line}'
        for x in ended or daemons
        for line in x.log.read_text().splitlines()[-4:]
      ]
      what = 'ended' if ended else 'not ready in a minute'
      raise CannotStartError(f'SLURM: {what}: {" | ".join(last)}')
    time.sleep(0.2)


def _end_jobs(cluster: Cluster) -> None:
  user = pwd.getpwuid(os.getuid()).pw_name
  cluster.call('scancel', '--user', user)
  wait_for(lambda: not cluster.call('squeue', '--noheader'), 'no jobs', 60)
