r"""How quickly images come from a csv file to the devices, however many.

python benchmarks/data_path.py
python benchmarks/data_path.py --csv=fer2013.csv --growth=1,10,100 \
    --output=data_path.json

From the csv to records, from records into memory, from there in batches to the
devices, and what becomes of start, speed and memory as the data grow. The sets
of `--growth` are in a temporary folder (`TMPDIR` says where) that is removed;
28,709 faces, 66 MB of pixels, times each. So 100 takes 6.6 GB of disk. Their
records are those of one set, linked as often; what is unpacked of them is not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import csv
import functools
import pathlib
import tempfile
from typing import Any

from absl import flags
import child
import clock
import growth

from ferjax import cli
from ferjax.data import pipeline, reader
from ferjax.data.dataset import Split

TakeTurns = Callable[[Mapping[Any, Callable[[], Any]]], dict[Any, float]]


def main(argv: Sequence[str]) -> None:
  """Measures, prints two tables and writes the figures."""
  del argv
  given = flags.FLAGS
  sizes = clock.numbers('growth', given.growth)
  batch_sizes = clock.numbers('batch_sizes', given.batch_sizes)
  take_turns = functools.partial(
    clock.take_turns, rounds=given.rounds, seconds=given.seconds
  )
  print(f'{clock.machine()}\nthe way of the images to the devices\n')
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    if given.csv:
      file = cli.path(given.csv)
    else:
      file = folder / 'fer2013.csv'
      write_csv(file, given.rows)
    figures = measure_path(file, folder, batch_sizes, take_turns)
    print(clock.markdown(('part', 'measured', 'aim'), _parts(figures)), '\n')
    figures['growth'] = growth.measure(
      folder, sizes, given.images, given.batches
    )
  print(clock.markdown(_HEADER, map(_row, figures['growth'])))
  clock.write(given.output, figures)


def measure_path(
  file: pathlib.Path,
  folder: pathlib.Path,
  batch_sizes: Sequence[int],
  take_turns: TakeTurns,
) -> dict[str, Any]:
  """Times the way of one set from its csv file to the devices.

  Args:
    file: in the form of FER2013's csv file.
    folder: for the prepared set.
    batch_sizes: images a batch.
    take_turns: times what can be done again.

  Returns:
    `prepare_seconds` of the whole process, `num_images`, `read_seconds`, and
    `images_per_second` by batch size.

  Raises:
    UserError: saying what the preparation failed of.
  """
  command = ['-m', 'ferjax.prepare', '--dataset=fer2013', f'--source={file}']
  done = child.run(*command, f'--data_dir={folder}')
  prepared = reader.Prepared(reader.find(str(folder), 'fer2013'))

  def read() -> list[Split]:
    return [prepared.read(name)[0] for name in prepared.split_names]

  splits = read()
  seconds = take_turns({'read': lambda: [s.labels for s in read()]})
  return {
    'prepare_seconds': done.seconds,
    'num_images': sum(map(len, splits)),
    'read_seconds': seconds['read'],
    'images_per_second': rates(max(splits, key=len), batch_sizes, take_turns),
  }


def rates(
  split: Split, batch_sizes: Sequence[int], take_turns: TakeTurns
) -> dict[str, float]:
  """Returns images/s of one process, placed on the devices, by batch size."""
  steps = {size: -(-len(split) // size) for size in batch_sizes}

  def stream(size: int) -> Any:
    calls = pipeline.plan_calls(0, steps[size], 1, [])
    batches = pipeline.train_batches(split, calls, size, 0, 'host')
    for batch in pipeline.prefetch_to_devices(batches, 'pmap', 2):
      last = batch
    return last

  works = {size: functools.partial(stream, size) for size in batch_sizes}
  seconds = take_turns(works)
  return {str(n): steps[n] * n / seconds[n] for n in batch_sizes}


def write_csv(file: pathlib.Path, num_rows: int) -> None:
  """Writes drawn faces in the form of FER2013's csv file."""
  images, labels = growth.draw(num_rows)
  with file.open('w', newline='') as out:
    writer = csv.writer(out)
    writer.writerow(('emotion', 'pixels', 'Usage'))
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
      usage = 'Training' if row % 10 else 'PublicTest'
      writer.writerow((label, ' '.join(map(str, image.ravel())), usage))


def _parts(figures: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
  count = f'{figures["num_images"]:,} images'
  yield (
    f'csv to records, {count}',
    f'{figures["prepare_seconds"]:.1f} s',
    '20 s',
  )
  yield f'records to memory, {count}', f'{figures["read_seconds"]:.2f} s', '3 s'
  for size, rate in figures['images_per_second'].items():
    what = f'batches of {size} to the devices'
    yield what, f'{rate:,.0f} images/s', '100,000 images/s'


_HEADER = (
  'data',
  'images',
  'they are in',
  'start',
  'until the first batch, s',
  'images/s',
  'own memory, MB',
)


def _row(figure: Mapping[str, Any]) -> tuple[str, ...]:
  return (
    f'{figure["times"]}x',
    f'{figure["num_images"]:,}',
    'a file' if figure['is_mapped'] else 'memory',
    figure['start'],
    f'{figure["start_seconds"]:.1f}',
    f'{figure["images_per_second"]:,.0f}',
    f'{figure["own_bytes"] / 1e6:.0f}',
  )


def _define_flags() -> None:
  """Not at import: tests import several scripts, whose flags would clash."""
  flags.DEFINE_string(
    'csv', None, "FER2013's csv file; without it, one of drawn faces is made."
  )
  flags.DEFINE_integer(
    'rows', 35_887, 'Rows of the csv file that is made.', lower_bound=100
  )
  flags.DEFINE_list('batch_sizes', '64,128,256,512,1024', 'Images a batch.')
  flags.DEFINE_list('growth', '1,10', 'How many times the data, one set each.')
  flags.DEFINE_integer(
    'images', 28_709, 'Images of the set that grows.', lower_bound=100
  )
  flags.DEFINE_integer(
    'batches',
    1000,
    f'Batches of {growth.BATCH_SIZE} from each such set.',
    lower_bound=1,
  )
  flags.DEFINE_integer('rounds', 5, 'Turns of each work.', lower_bound=1)
  flags.DEFINE_float('seconds', 1.0, 'Of a turn; one call at least.')
  flags.DEFINE_string('output', None, 'A JSON file for the figures.')


if __name__ == '__main__':
  _define_flags()
  cli.run(main)
