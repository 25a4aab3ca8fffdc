"""Sinks of actions that are not there, go away, answer nonsense or answer late: nothing is lost, nothing comes after its ack."""
import contextlib
import socket
import threading

import msgpack

from harness import Server, expect, until
from test_security import MAIL, order, pending, send

EVENTS = 20


class Sink:
    """Takes one connection after the other. `answer(connection number, action ids so far in it, new ids)` gives the bytes to
    send back, or None: the connection is closed."""

    def __init__(self, address, answer):
        self.answer, self.ids, self.connections = answer, [], 0
        self.listener = socket.create_server(address, family=socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                with contextlib.suppress(OSError), connection:
                    self.serve(connection)

    def serve(self, connection):
        unpacker, ids = msgpack.Unpacker(raw=False), []
        while data := connection.recv(1 << 16):
            unpacker.feed(data)
            new = [message[2]['chunk'] for message in unpacker]
            ids += new
            self.ids += new
            answer = self.answer(self.connections, ids, new)
            if answer is None:
                return
            connection.sendall(answer)


def acks(ids):
    return b''.join(msgpack.packb({'ack': i}) for i in ids)


def free_address():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()


def emitted(build, address, answer, events=EVENTS, late=False, io='auto'):
    """Orders of so many people, whose actions go to such a sink until all are confirmed; the sink."""
    url = 'unix://' + address if isinstance(address, str) else 'tcp://%s:%d' % address
    sink = None if late else Sink(address, answer)
    with Server(build, MAIL, ['--emit', url, '--io', io]) as s:
        send(s.port, [order('u%d' % i) for i in range(events)])
        until(lambda: pending(s) == events or sink and sink.ids, 'actions')
        if late:
            expect(s.stats()['outbox']['pending'], events, 'they wait')
            sink = Sink(address, answer)
        until(lambda: pending(s) == 0, 'all confirmed')
        s.stop()
        errors = s.stderr()
    sink.listener.close()
    return sink, errors


def test_a_sink_that_comes_late_gets_everything(build):
    for io in ('uring', 'epoll'):
        sink, _ = emitted(build, free_address(), lambda n, ids, new: acks(new), late=True, io=io)
        expect((sink.connections, len(sink.ids), len(set(sink.ids))), (1, EVENTS, EVENTS), 'each once')


def test_a_sink_may_be_a_unix_socket(build):
    with Server(build, MAIL) as other:  # for its scratch directory
        sink, _ = emitted(build, str(other.home / 'sink'), lambda n, ids, new: acks(new))
        expect(len(set(sink.ids)), EVENTS, 'actions')


def test_what_is_no_ack_ends_the_connection_and_all_comes_again(build):
    nonsense = [b'\xc1', msgpack.packb({'nak': 'x'}), msgpack.packb({'ack': 'x' * 32}), msgpack.packb({'ack': '0' * 31}), msgpack.packb({'ack': 5}),
                msgpack.packb(['ack', '0' * 32]), msgpack.packb({'ack': '0' * 32, 'more': 1}), b'\xdb\xff\xff\xff\xff' + bytes(1 << 20)]
    sink, errors = emitted(build, free_address(), lambda n, ids, new: acks(new[:1]) + nonsense[n - 1] if n <= len(nonsense) else acks(new))
    expect((sink.connections, errors.count('is not an ack'), len(set(sink.ids))), (len(nonsense) + 1, len(nonsense), EVENTS), errors)


def test_a_sink_that_goes_away_gets_again_what_it_did_not_confirm(build):
    half = lambda n, ids, new: acks(new) if n > 1 else acks(ids[:1]) if len(ids) < 2 else None  # noqa: E731
    sink, errors = emitted(build, free_address(), half)
    expect((sink.connections, len(set(sink.ids)), 'the peer closed' in errors or 'reset' in errors), (2, EVENTS, True), errors)


def test_acks_may_come_all_at_once_and_in_pieces(build):
    """More of them in one packet than are read at a time, and no other bytes behind."""
    events = 900

    def all_at_once(n, ids, new):
        return acks(ids) if len(ids) == events else b''
    expect(len(set(emitted(build, free_address(), all_at_once, events)[0].ids)), events, 'actions')
    rest = b''

    def in_pieces(n, ids, new):
        nonlocal rest
        whole = rest + acks(new)
        cut = len(whole) if len(ids) == EVENTS else max(len(whole) - 7, 0)
        rest = whole[cut:]
        return whole[:cut]
    expect(len(set(emitted(build, free_address(), in_pieces)[0].ids)), EVENTS, 'actions')
