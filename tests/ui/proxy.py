"""A TCP proxy whose cable can be pulled: what a lost network looks like to a page."""

from __future__ import annotations

import contextlib
import socket
import threading


class Cable:
    """Forwards connections at `port` to another port of this machine, until it is pulled."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._plugged = threading.Event()
        self._plugged.set()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def pull(self) -> None:
        """Breaks every connection, and new ones end at once."""
        self._plugged.clear()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def plug(self) -> None:
        """The network is back."""
        self._plugged.set()

    def close(self) -> None:
        self.pull()
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._server.accept()
                if not self._plugged.is_set():
                    here.close()
                    continue
                there = socket.create_connection(("127.0.0.1", self._target))
                self._open |= {here, there}
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            self._open.discard(one)
            with contextlib.suppress(OSError):
                one.close()
