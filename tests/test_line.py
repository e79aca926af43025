"""One connection between two processes."""

import fcntl
import resource
import socket

from ferjax.peers.line import Line


def test_a_connection_may_have_a_high_number():
  limits = resource.getrlimit(resource.RLIMIT_NOFILE)
  resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
  try:
    with socket.create_server(('127.0.0.1', 0)) as server:
      one = socket.create_connection(server.getsockname())
      other, _ = server.accept()
      with one:
        number = fcntl.fcntl(one, fcntl.F_DUPFD, 1500)
        high = Line(socket.socket(fileno=number))
      assert not high.wait(0)
      with other:
        Line(other).send({'kind': 'bye'})
        assert high.wait(5)
        assert high.receive() == [{'kind': 'bye'}]
      high.finish(1)
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
