"""Processes find the very ferjax of this one, and fail in one line."""

import ast
import importlib
import pathlib

import pytest

import ferjax
from ferjax.errors import UserError

BENCHMARKS = pathlib.Path(__file__).parent.parent / 'benchmarks'
FILES = sorted(BENCHMARKS.glob('*.py'))


@pytest.fixture
def child(monkeypatch):
  monkeypatch.syspath_prepend(BENCHMARKS)
  return importlib.import_module('child')


def test_a_process_finds_the_same_modules(child, monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  (tmp_path / 'own.py').touch()
  code = 'import own, os, ferjax; print(ferjax.__file__, os.environ["ANSWER"])'
  done = child.run('-c', code, ANSWER='42')
  assert done.said.split() == [ferjax.__file__, '42']
  assert 0 < done.seconds < 60


@pytest.mark.parametrize(
  ('said', 'error'),
  [
    ('a warning\nerror: no such file\nthe end\n', 'no such file'),
    ('Traceback:\n  ...\nValueError: 3\n\n', 'ValueError: 3'),
    ('', 'it did not say why'),
  ],
)
def test_what_it_fails_of_is_one_line(child, said, error):
  code = f'import sys; sys.stderr.write({said!r}); sys.exit(1)'
  with pytest.raises(UserError, match=f'^{error}$'):
    child.run('-IS', '-c', code)
  child.run('-IS', '-c', code, answers=(0, 1))


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_flags_are_not_defined_at_import(path):
  tree = ast.parse(path.read_text())
  functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
  inside = functions.get('_define_flags')
  if inside:  # a script
    assert f'\npython benchmarks/{path.name}' in ast.get_docstring(tree)
  assert len(_definitions(tree)) == (len(_definitions(inside)) if inside else 0)


def _definitions(tree):
  nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
  return [node for node in nodes if node.attr.startswith('DEFINE_')]
