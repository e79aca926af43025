"""JobSets that launch/gke.sh would apply."""

from standins import launch
import yaml

IMAGE = 'europe-docker.pkg.dev/p/r/ferjax:cuda'
FLAGS = ['--config=configs/resnet.py:depth=18', '--workdir=gs://b/runs/fer']
GPU = [f'--image={IMAGE}', '--accelerator=nvidia-l4', '--nodes=2', 'fer']
TPU = [f'--image={IMAGE}', '--topology=4x4', 'fer']


def filled(*args, flags=FLAGS):
  """Returns the JobSet that `gke.sh --dry_run` prints."""
  done = launch('gke.sh', '--dry_run', *args, 'apply', '--', *flags)
  assert done.returncode == 0, done.stderr
  first, *lines, last = done.stdout.splitlines()
  assert first.endswith("apply --filename=- <<'END'")
  assert last == 'END'
  return yaml.safe_load('\n'.join(lines))


def worker(jobset):
  """Returns the pod's spec and its only container."""
  (job,) = jobset['spec']['replicatedJobs']
  spec = job['template']['spec']['template']['spec']
  (container,) = spec['containers']
  return spec, container
