"""How every binary starts, and how it fails: one line and an exit status."""

from collections.abc import Callable, Sequence
import io
import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from ferjax import config, failures, heap, storage
from ferjax.errors import RetryError, UserError, printable


def run(main: Callable[[Sequence[str]], int | None], takes: str = '') -> None:
  """Parses the flags and runs `main`, then exits with its status.

  What is expected to go wrong is printed as one line: a `UserError` or a wrong
  flag ends with status 2, a `TrainingError` with 3, a `RetryError` with 4.

  Args:
    main: takes what is left of the command line after the flags.
    takes: what that is, such as 'DIR', of which it then needs at least one;
      otherwise nothing must be left.
  """
  heap.keep_freed_memory()
  # What Orbax and grain log as errors, with tracebacks, they raise too.
  logging.set_verbosity(logging.FATAL)
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors='backslashreplace')  # as stderr does
  app.run(lambda argv: _call(main, argv, takes), flags_parser=_parse)


def config_file(flag: flags.FlagHolder) -> str:
  """Returns what `--config` was given, `FILE` or `FILE:key=value,...`.

  Raises:
    UserError: when there is no such file, or it gave no config.
  """
  given = config_flags.get_config_filename(flags.FLAGS[flag.name])
  if not pathlib.Path(given.partition(':')[0]).is_file():
    raise UserError(f'--config={given}: there is no such file')
  config.check_whole(flag.value, given)
  return given


def path(given: str) -> storage.Path:
  """Returns the path that a user gave, of this machine or in a bucket."""
  return storage.path(given)


def stay_on_cpu() -> None:
  """Keeps JAX away from accelerators, which other processes may hold.

  Nothing of this process may have asked JAX for a device yet.
  """
  import jax  # takes seconds; --help need not wait

  jax.config.update('jax_platforms', 'cpu')


def _call(
  main: Callable[[Sequence[str]], int | None], argv: Sequence[str], takes: str
) -> int | None:
  try:
    if takes and len(argv) == 1:
      raise UserError(f'give a {takes} or more')
    if len(argv) > 1 and not takes:
      raise UserError(f'what does {argv[1]!r} mean? flags begin with --')
    return main(argv)
  except (Exception, KeyboardInterrupt) as error:
    explained = failures.explain(error)
    if explained is None:
      raise
    status = _complain(*explained)
    if isinstance(error, RetryError):
      # At once: threads of a save that failed would be waited for, for minutes.
      failures.leave(status)
    return status


def _parse(argv: Sequence[str]) -> list[str]:
  try:
    for argument in argv:
      if argument.startswith('--config.'):
        config.check_field(argument.partition('=')[0][len('--config.') :])
    return flags.FLAGS(argv)
  # A config file may fail in any way; the last line of its message says how.
  except Exception as error:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = lines[-1].removeprefix('ferjax.errors.UserError: ')
    # A KeyError of ml_collections goes on with the whole config.
    line = printable(line.partition(r'\nOther fields')[0][:1000])
    sys.exit(_complain(line, 2))


def _complain(error: object, status: int) -> int:
  failures.say(str(error))
  return status
