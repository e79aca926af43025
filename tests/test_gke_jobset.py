"""launch/gke_jobset*.yaml, against the schemas that are published."""

import copy
import os
import pathlib
import re
import subprocess
import sys

from jobsets import FLAGS, GPU, IMAGE, TPU, filled, worker
from kubeflow_trainer_api import models
import kubernetes_validate
import pydantic
import pytest
from standins import LAUNCH

# The oldest with a settled `podFailurePolicy`, and the newest known.
KUBERNETES = ('1.31', kubernetes_validate.latest_version())


def validate(jobset):
  """Raises unless JobSet's and Kubernetes' schemas allow every field."""
  outer = copy.deepcopy(jobset)
  for job in outer['spec']['replicatedJobs']:
    template = job['template']
    for version in KUBERNETES:
      kubernetes_validate.validate(
        {'apiVersion': 'batch/v1', 'kind': 'Job', **template},
        version,
        strict=True,
      )
    job['template'] = {}
  models.JobsetV1alpha2JobSet.model_validate(
    outer, extra='forbid', by_alias=True, by_name=False
  )


def command_of(jobset, index):
  """Returns the flags of a pod as Kubernetes expands them."""
  _, container = worker(jobset)
  known = {
    'JOBSET_NAME': jobset['metadata']['name'],
    'JOB_COMPLETION_INDEX': str(index),
  }
  declared = {v['name'] for v in container['env']} | {'JOB_COMPLETION_INDEX'}

  def expand(match):
    if match[0] == '$$':  # whatever follows
      return '$'
    assert match[1] in declared
    return known[match[1]]

  return [re.sub(r'\$\$|\$\((\w+)\)', expand, w) for w in container['args']]


@pytest.mark.parametrize('args', [GPU, TPU, ['--volume=faces', *GPU]], ids=str)
def test_published_schemas_allow_it(args):
  validate(filled(*args))


JOB = ('spec', 'replicatedJobs', 0, 'template', 'spec')
POD = (*JOB, 'template', 'spec')
MISTAKES = [
  (('spec', 'failurePolicy', 'maxRestart'), 3),
  (('spec', 'failurePolicy', 'maxRestarts'), '3'),
  (('spec', 'failurePolicy', 'rules', 0, 'onJobFailureReasons'), 'Any'),
  (('spec', 'failurePolicy', 'rules', 0, 'onJobFailureReason'), ['Any']),
  (('spec', 'replicatedJobs', 0, 'replica'), 1),
  (('metadata', 'name'), 7),
  ((*JOB, 'parallelism'), '2'),
  ((*JOB, 'podFailurePolicy', 'rules', 0, 'action'), None),
  ((*JOB, 'podFailurePolicy', 'rules', 0, 'onExitCode'), {}),
  ((*POD, 'containers'), None),
  ((*POD, 'securityContext', 'runAsUser'), '10001'),
  ((*POD, 'containers', 0, 'arguments'), []),
  ((*POD, 'containers', 0, 'args'), ['--seed', 1]),
  ((*POD, 'containers', 0, 'env', 0, 'value'), 1),
  ((*POD, 'volumes', 0, 'emptydir'), {}),
]


@pytest.mark.parametrize(('path', 'value'), MISTAKES, ids=str)
def test_published_schemas_refuse_mistakes(path, value):
  jobset = filled(*GPU)
  place = jobset
  for key in path[:-1]:
    place = place[key]
  place[path[-1]] = value
  with pytest.raises(
    (pydantic.ValidationError, kubernetes_validate.ValidationError)
  ):
    validate(jobset)


@pytest.mark.parametrize('args', [GPU, TPU], ids=['gpu', 'tpu'])
def test_failures_begin_again_and_mistakes_do_not(args):
  jobset = filled('--restarts=5', *args)
  policy = jobset['spec']['failurePolicy']
  assert policy['maxRestarts'] == 5
  (rule,) = policy['rules']
  assert rule['action'] == 'FailJobSet'
  assert rule['onJobFailureReasons'] == ['PodFailurePolicy']
  (job,) = jobset['spec']['replicatedJobs']
  spec, container = worker(jobset)
  assert job['template']['spec']['backoffLimit'] == 0
  assert spec['restartPolicy'] == 'Never'
  (rule,) = job['template']['spec']['podFailurePolicy']['rules']
  assert rule == {
    'action': 'FailJob',
    'onExitCodes': {
      'containerName': container['name'],
      'operator': 'In',
      'values': [2, 3],
    },
  }
  assert spec['terminationGracePeriodSeconds'] >= 60


@pytest.mark.parametrize('args', [GPU, TPU], ids=['gpu', 'tpu'])
def test_pods_have_no_rights_and_write_only_where_they_may(args):
  spec, container = worker(filled(*args))
  users = re.findall(r'USER (\d+):', (LAUNCH / 'Dockerfile').read_text())
  assert [str(spec['securityContext']['runAsUser'])] == users
  assert spec['securityContext']['runAsNonRoot'] is True
  assert container['securityContext'] == {
    'allowPrivilegeEscalation': False,
    'readOnlyRootFilesystem': True,
    'capabilities': {'drop': ['ALL']},
  }
  mounts = {m['mountPath']: m['name'] for m in container['volumeMounts']}
  assert set(mounts.values()) == {v['name'] for v in spec['volumes']}
  assert {'/home/ferjax', '/tmp', '/shared'} <= mounts.keys()
  (cache,) = (
    v['value'] for v in container['env'] if v['name'].endswith('CACHE_DIR')
  )
  assert any(cache.startswith(f'{mount}/') for mount in mounts)


@pytest.mark.parametrize('args', [GPU, TPU], ids=['gpu', 'tpu'])
def test_pods_wait_for_who_they_are(args):
  _, container = worker(filled(*args))
  known = {v['name']: v.get('value') for v in container['env']}
  assert int(known['GCE_METADATA_DETECT_RETRIES']) > 3  # google-auth's own


@pytest.mark.parametrize(
  ('args', 'platforms'), [(GPU, 'cuda,cpu'), (TPU, 'tpu,cpu')], ids=str
)
def test_pods_name_their_accelerator(args, platforms):
  _, container = worker(filled(*args))
  assert {'name': 'JAX_PLATFORMS', 'value': platforms} in container['env']


# The same holds for CUDA on a machine with a GPU's device files, as a pod of a
# GPU node has them; without these JAX passes CUDA over in silence.
@pytest.mark.skipif(
  any(pathlib.Path('/dev').glob('accel*'))
  or any(pathlib.Path('/dev/vfio').glob('[0-9]*')),
  reason='this machine may have a TPU',
)
def test_jax_ends_where_a_named_platform_does_not_start():
  done = subprocess.run(
    [sys.executable, '-c', 'import jax; jax.devices()'],
    env=os.environ | {'JAX_PLATFORMS': 'tpu,cpu'},
    capture_output=True,
    text=True,
    timeout=100,
  )
  assert done.returncode == 1
  assert "Unable to initialize backend 'tpu'" in done.stderr


def test_gpu_pods_know_each_other():
  jobset = filled('--chips=8', *GPU)
  (job,) = jobset['spec']['replicatedJobs']
  assert (job['name'], job['replicas']) == ('workers', 1)
  job = job['template']['spec']
  assert job['completionMode'] == 'Indexed'
  assert job['parallelism'] == job['completions'] == 2
  spec, container = worker(jobset)
  assert container['resources']['limits'] == {'nvidia.com/gpu': 8}
  assert container['image'] == IMAGE
  assert spec['nodeSelector'] == {
    'cloud.google.com/gke-accelerator': 'nvidia-l4'
  }
  for index in range(2):
    assert command_of(jobset, index) == [
      *FLAGS,
      '--coordinator_address=fer-workers-0-0.fer:8476',
      '--num_processes=2',
      f'--process_id={index}',
    ]


def test_tpu_pods_make_a_slice():
  jobset = filled(*TPU)
  (job,) = jobset['spec']['replicatedJobs']
  assert job['template']['spec']['completions'] == 4
  assert jobset['metadata']['annotations'] == {
    'alpha.jobset.sigs.k8s.io/exclusive-topology': (
      'cloud.google.com/gke-nodepool'
    )
  }
  spec, container = worker(jobset)
  assert container['resources']['limits'] == {'google.com/tpu': 4}
  assert spec['nodeSelector'] == {
    'cloud.google.com/gke-tpu-accelerator': 'tpu-v5-lite-podslice',
    'cloud.google.com/gke-tpu-topology': '4x4',
  }
  assert command_of(jobset, 1) == [*FLAGS, '--distributed=auto']


def test_flags_arrive_as_they_were_given():
  odd = 'a & b "c" \\d $(HOME) ${NAME} a$$b $$(c) $ #e\n\tf: é'
  flags = [*FLAGS, f'--config.note={odd}']
  command = command_of(filled(*GPU, flags=flags), 0)
  assert command[: len(flags)] == flags


@pytest.mark.parametrize('args', [GPU, TPU], ids=['gpu', 'tpu'])
def test_main_takes_the_flags(args):
  # It looks for the config once it has understood every flag.
  flags = ['--config=configs/nothing.py', '--workdir=gs://b/r']
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'ferjax.main'),
      *command_of(filled(*args, flags=flags), 0),
    ],
    cwd=LAUNCH.parent,
    capture_output=True,
    text=True,
    timeout=100,
  )
  assert done.returncode == 2
  assert 'there is no such file' in done.stderr


def test_shared_volume_holds_the_workdir():
  flags = [FLAGS[0], '--workdir=/shared/runs/fer']
  spec, _ = worker(filled('--volume=faces', *GPU, flags=flags))
  (volume,) = (v for v in spec['volumes'] if v['name'] == 'shared')
  assert volume['persistentVolumeClaim'] == {'claimName': 'faces'}
