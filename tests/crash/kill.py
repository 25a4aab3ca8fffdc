#!/usr/bin/python3
"""kill -9 at random moments, by a client that keeps an ack log; then every promise about it is checked.

usage: tests/crash/kill.py BUILD [--kills N] [--seed N]      ends with `N passed, N failed`

A sender keeps chunks on their way and writes down which came back acknowledged. After each kill it sends what was not
acknowledged again, under new chunk ids. When all is over: every event it made is counted exactly once in its person, and
the state is the one that the log gives from zero.
"""
import argparse
import pathlib
import random
import shutil
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'e2e'))
import harness  # noqa: E402
import msgpack  # noqa: E402
from harness import Failure, Server, expect  # noqa: E402

USERS, CHUNK, WINDOW = 200, 20, 8
START = 1772359200


class Sender(threading.Thread):
    """One connection. Events are numbers; the person of event n is n % USERS."""

    def __init__(self, port, log, seed):
        super().__init__(daemon=True)
        self.port, self.log, self.random = port, log, random.Random(seed)
        self.stopping = False

    def connect(self):
        self.socket = socket.create_connection(('127.0.0.1', self.port), timeout=10)
        self.unpacker = msgpack.Unpacker(raw=False)

    def send(self, chunk, events):
        entries = []
        for n in events:
            record = {'type': 'track', 'event': 'Order Completed', 'userId': 'u%d' % (n % USERS), 'messageId': 'm%d' % n,
                      'properties': {'order_id': str(n), 'total': 1.5}}
            if n % 3:  # the others have the entry's time alone
                record['timestamp'] = (START + n // 7) * 1000
            entries.append([START + n // 7, record])
        self.socket.sendall(msgpack.packb(['shop', entries, {'chunk': chunk}]))

    def run(self):
        waiting = {}
        try:
            self.connect()
            while not (self.stopping and not waiting):
                while len(waiting) < WINDOW and not self.stopping:
                    chunk, events = self.log.next(self.random)
                    waiting[chunk] = events
                    self.send(chunk, events)
                self.unpacker.feed(self.socket.recv(65536) or b'\xc1')
                for answer in self.unpacker:
                    self.log.acked(waiting.pop(answer['ack']))
        except (OSError, msgpack.UnpackException):
            pass  # killed: that is the point
        finally:
            for events in waiting.values():
                self.log.again(events)


class Log:
    """Which events were made, which are acknowledged, which are to be sent again."""

    def __init__(self):
        self.lock = threading.Lock()
        self.made = self.chunks = 0
        self.confirmed, self.open = set(), []

    def next(self, chance):
        with self.lock:
            self.chunks += 1
            if self.open:
                chance.shuffle(self.open)
                events, self.open = self.open[:CHUNK], self.open[CHUNK:]
            else:
                events = list(range(self.made, self.made + CHUNK))
                self.made += CHUNK
            return 'c%d' % self.chunks, events

    def acked(self, events):
        with self.lock:
            self.confirmed.update(events)

    def again(self, events):
        with self.lock:
            self.open += events


def counts(s):
    rpc = s.rpc()
    found = {}
    for user in range(USERS):
        try:
            profile = rpc.call('profile.get', 'user:u%d' % user)
            found[user] = profile['events']['Order Completed']['count']
        except Failure:
            found[user] = 0
    rpc.close()
    return found


def per_user(events):
    wanted = dict.fromkeys(range(USERS), 0)
    for n in events:
        wanted[n % USERS] += 1
    return wanted


def check_life(s, log, kill):
    """Nothing acknowledged is lost, nothing was invented."""
    least, most, found = per_user(log.confirmed), per_user(range(log.made)), counts(s)
    for user in range(USERS):
        if not least[user] <= found[user] <= most[user]:
            raise Failure('kill %d: u%d has %d events; %d were acknowledged, %d sent' % (kill, user, found[user], least[user], most[user]))


def finish(s, log):
    """What is open is sent until it is acknowledged."""
    until = time.monotonic() + 60
    while log.open:
        if time.monotonic() > until:
            raise Failure('%d events are not acknowledged after a minute' % len(log.open))
        sender = Sender(s.port, log, 1)
        sender.connect()
        chunk, events = log.next(sender.random)
        sender.send(chunk, events)
        while True:
            sender.unpacker.feed(sender.socket.recv(65536))
            if [answer for answer in sender.unpacker if answer['ack'] == chunk]:
                break
        log.acked(events)
        sender.socket.close()
    expect(counts(s), per_user(range(log.made)), 'events of each person')


def from_zero(build, s):
    copy = Server(build, s.definitions, s.arguments)
    shutil.copytree(s.data, copy.data, ignore=shutil.ignore_patterns('lock', '*.sock'))
    shutil.rmtree(copy.data / 'snapshot')
    (copy.data / 'snapshot').mkdir()
    with copy:
        state = copy.call('sys.state_hash')
        copy.stop()
    return state


def run(build, kills, seed):
    chance, log = random.Random(seed), Log()
    arguments = ['--log-keep', 'all', '--shards', '2', '--log-segment', '4MiB', '--snapshot-every', '2MiB']
    with Server(build, arguments=arguments) as s:
        for kill in range(kills):
            senders = [Sender(s.port, log, seed * 1000 + kill * 10 + i) for i in range(2)]
            for sender in senders:
                sender.start()
            time.sleep(chance.choice([0.002, 0.05, 0.2]) * chance.random())
            s.kill()
            for sender in senders:
                sender.join(30)
            s.start()
            check_life(s, log, kill)
        expect(bool(log.confirmed), True, 'something was acknowledged before a kill')
        finish(s, log)
        state = s.call('sys.state_hash')
        s.stop()
        expect(from_zero(build, s), state, 'state hash from zero')
    print('%d kills, %d events, %d acknowledged' % (kills, log.made, len(log.confirmed)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--seed', type=int, default=20260301)
    a = parser.parse_args()
    try:
        run(a.build, a.kills, a.seed)
        print('1 passed, 0 failed')
    except Failure as failure:
        print('seed %d: %s' % (a.seed, failure))
        print('0 passed, 1 failed')
        sys.exit(1)


if __name__ == '__main__':
    main()
