"""A client that keeps an account of what it was promised, over many lives of one server; and what must hold of it.

Event n is of person n // EVENTS: the first one signs up (a journey greets each person once, and once more a second later),
some come under an anonymous id that the next event of the same chunk tells to be that person: merges on their way all the
time. What was not acknowledged is sent again under new chunk ids, mixed.
"""
import multiprocessing
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'e2e'))
import msgpack  # noqa: E402
from harness import Failure, Server, expect  # noqa: E402

EVENTS, CHUNK, WINDOW = 40, 10, 6
ARGUMENTS = ['--log-keep', 'all', '--shards', '2', '--log-segment', '1MiB', '--snapshot-every', '1MiB']
LATER_SECONDS = 2
JOBS = 2 * os.cpu_count()  # at once: a life mostly waits, for a disk or for a moment
START = int(time.time()) - 600  # recent enough for journeys, and nothing is ahead of the clock
CLOSED = 'closed the admin connection'  # what a failure says when the server died
DEFINITIONS = """
profiles: {anonymous_ttl: never, known_ttl: never}
events:
  Signed Up: {keep: 365d}
  Seen: {keep: 365d, properties: {total: number}}
segments:
  regulars: count("Seen") > 20
channels:
  email: {consent: not_needed}
journeys:
  welcome:
    state: live
    trigger: {event: Signed Up}
    steps:
      - send: {id: hello, channel: email, template: hello}
      - wait: 1s
      - send: {id: again, channel: email, template: again}
"""


def person(n):
    return 'u%d' % (n // EVENTS)


def is_anonymous(n):
    return n % 8 == 5


def entry(n):
    second = START + n // 50
    record = {'type': 'track', 'event': 'Seen' if n % EVENTS else 'Signed Up', 'messageId': 'm%d' % n}
    if not is_anonymous(n):
        record['userId'] = person(n)
    if n % 8 in (5, 6):
        record['anonymousId'] = 'a%d' % (n // 8)
    if n % EVENTS:
        record['properties'] = {'total': n + 0.5}
    if n % 3:  # the others have the entry's time alone
        record['timestamp'] = second * 1000
    return [second, record]


class Account:
    """Which events were made, which are acknowledged, which are to be sent again; which actions came and were confirmed."""

    def __init__(self):
        self.lock = threading.Lock()
        self.made = self.chunks = self.settled = 0  # settled: persons below it were found complete
        self.acked, self.open, self.news = set(), [], threading.Condition(self.lock)
        self.actions, self.confirmed, self.wrong = {}, set(), []

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

    def acknowledged(self, events):
        with self.lock:
            self.acked.update(events)
            self.news.notify_all()

    def await_acks(self, events, seconds):
        """Until so many more events are acknowledged; False: that took too long."""
        with self.lock:
            wanted = len(self.acked) + events
            return self.news.wait_for(lambda: len(self.acked) >= wanted, seconds)

    def again(self, events):
        with self.lock:
            self.open += events

    def emitted(self, action):
        """An id has one content for ever, and none comes again once its confirmation was answered."""
        key, content = action['action_id'], repr(sorted(action.items(), key=lambda item: item[0]))
        with self.lock:
            if key in self.confirmed:
                self.wrong.append('action %s came again after its confirmation' % key)
            if self.actions.setdefault(key, content) != content:
                self.wrong.append('action %s: %s, and before %s' % (key, content, self.actions[key]))

    def answered(self, ids):
        with self.lock:
            self.confirmed.update(ids)


class Sender(threading.Thread):
    """One connection with chunks on their way."""

    def __init__(self, port, account, seed):
        super().__init__(daemon=True)
        self.port, self.account, self.random = port, account, random.Random(seed)
        self.stopping = False

    def talk(self, waiting):
        connection = socket.create_connection(('127.0.0.1', self.port), timeout=10)
        unpacker = msgpack.Unpacker(raw=False)
        while not self.stopping or waiting:
            while len(waiting) < WINDOW and not self.stopping:
                chunk, events = self.account.next(self.random)
                waiting[chunk] = events
                connection.sendall(msgpack.packb(['shop', [entry(n) for n in events], {'chunk': chunk}]))
            unpacker.feed(connection.recv(65536) or b'\xc1')
            for answer in unpacker:
                self.account.acknowledged(waiting.pop(answer['ack']))
        connection.close()

    def run(self):
        waiting = {}
        try:
            self.talk(waiting)
        except (OSError, msgpack.UnpackException):
            pass  # killed: that is the point
        for events in waiting.values():
            self.account.again(events)


class Confirmer(threading.Thread):
    """Reads actions and confirms each as soon as it comes."""

    def __init__(self, server, account):
        super().__init__(daemon=True)
        self.server, self.account = server, account

    def run(self):
        try:
            rpc = self.server.rpc()
            rpc.call('actions.subscribe', 'sink')
            while True:
                actions = [params[0] for method, params in [rpc.notification(), *rpc.take_notifications()] if method == 'actions']
                for action in actions:
                    self.account.emitted(action)
                ids = [action['action_id'] for action in actions]
                rpc.call('actions.ack', ids)
                self.account.answered(ids)
        except OSError:
            pass
        except Failure as failure:
            if CLOSED not in str(failure):
                self.account.wrong.append(str(failure))


class Life:
    """The clients of one life of the server."""

    def __init__(self, server, account, seed, senders=2):
        self.senders = [Sender(server.port, account, seed + i) for i in range(senders)]
        self.confirmer = Confirmer(server, account)
        for thread in self.senders + [self.confirmer]:
            thread.start()

    def end(self):
        """The server is gone, or goes when the senders have stopped."""
        for sender in self.senders:
            sender.stopping = True
        for thread in self.senders + [self.confirmer]:
            thread.join(30)
            if thread.is_alive():
                raise Failure('a client still waits for a server that is gone')


def await_death(server, seconds):
    """So long; then it is told to stop in good order, which comes to places of its own."""
    try:
        server.process.wait(seconds)
    except subprocess.TimeoutExpired:
        server.process.terminate()
        server.process.wait(60)


def counts(server, persons):
    rpc = server.rpc()
    found = {}
    for p in persons:
        try:
            events = rpc.call('profile.get', 'user:u%d' % p)['events']
            found[p] = sum(events[name]['count'] for name in events)
        except Failure:
            found[p] = 0
    rpc.close()
    return found


def certain(account, n):
    """Acknowledged; and of one that came anonymously also the event that says whose it was."""
    return n in account.acked and (not is_anonymous(n) or n + 1 in account.acked)


def await_messages(server):
    """What was on its way between two shards at the kill is sent again after the start: durable, and repeated until received.
    An event that was sent again may be acknowledged meanwhile as a repeat, before the half of a person that holds it arrives."""
    until = time.monotonic() + 10
    while server.stats()['ring']['under_way']:
        if time.monotonic() > until:
            raise Failure('messages between shards do not arrive: %r' % server.stats()['ring'])
        time.sleep(0.005)


def miscounted(server, account):
    """Persons of whom something acknowledged is missing, or something is there that was never sent; in words."""
    last = (account.made + EVENTS - 1) // EVENTS
    for p, found in counts(server, range(account.settled, last)).items():
        events = range(p * EVENTS, min((p + 1) * EVENTS, account.made))
        least, most = sum(certain(account, n) for n in events), len(events)
        if not least <= found <= most:
            yield 'u%d has %d events; %d were acknowledged, %d sent' % (p, found, least, most)


def evidence(server, account):
    """Whether it is still so a while later; the data directory is kept."""
    time.sleep(LATER_SECONDS)
    later = list(miscounted(server, account))
    kept = tempfile.mkdtemp(prefix='hg-found-', dir=os.environ.get('HOURGLASS_TEST_DIR'))
    shutil.copytree(server.data, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns('lock', '*.sock'))
    return '%d s later: %s; see %s' % (LATER_SECONDS, later or 'all is there', kept)


def check_life(server, account, where):
    """Nothing acknowledged is lost, nothing was invented, no action came again."""
    last = (account.made + EVENTS - 1) // EVENTS
    await_messages(server)
    wrong = list(miscounted(server, account))
    if wrong:
        raise Failure('%s: %s; %s' % (where, ', '.join(wrong), evidence(server, account)))
    while account.settled < last and all(n in account.acked for n in range(account.settled * EVENTS, (account.settled + 1) * EVENTS)):
        account.settled += 1
    if account.wrong:
        raise Failure('%s: %s' % (where, account.wrong[0]))


def ungreeted(server, account, people):
    """The first person without both actions, and why."""
    for p in range(people):
        if sum("'u%d'" % p in content for content in account.actions.values()) < 2:
            return 'u%d: %r; its first event is at %d; %r' % (p, server.call('profile.why', 'user:u%d' % p), entry(p * EVENTS)[0], server.call('profile.get', 'user:u%d' % p))
    return 'nobody lacks one'


def finish(server, account, where):
    """What is open is sent until it is acknowledged; then everything is there exactly once."""
    account.made += -account.made % EVENTS
    have = set(account.acked) | set(account.open)
    account.open += [n for n in range(account.made) if n not in have]
    life = Life(server, account, 1, senders=0)
    until = time.monotonic() + 20
    while account.open:
        waiting = dict(account.next(random.Random(1)) for _ in range(min(WINDOW, -(-len(account.open) // CHUNK))))
        send_all(server.port, account, waiting)
        if time.monotonic() > until:
            raise Failure('%s: %d events are not acknowledged after a minute' % (where, len(account.open)))
    people = account.made // EVENTS
    expect({p: n for p, n in counts(server, range(people)).items() if n != EVENTS}, {}, where + ': persons with another number of events')
    expect(server.call('query.count', 'count("Signed Up") == 1')['count'], people, where + ': persons who signed up once')
    while server.stats()['outbox']['pending'] or len(account.actions) < 2 * people:
        if time.monotonic() > until:
            raise Failure('%s: %d actions came for %d people; %s' % (where, len(account.actions), people, ungreeted(server, account, people)))
        time.sleep(0.05)
    expect(len(account.actions), 2 * people, where + ': actions')
    return life


def send_all(port, account, chunks):
    connection = socket.create_connection(('127.0.0.1', port), timeout=30)
    unpacker = msgpack.Unpacker(raw=False)
    for chunk, events in chunks.items():
        connection.sendall(msgpack.packb(['shop', [entry(n) for n in events], {'chunk': chunk}]))
    while chunks:
        unpacker.feed(connection.recv(65536))
        for answer in unpacker:
            account.acknowledged(chunks.pop(answer['ack']))
    connection.close()


def from_zero(server):
    """The state that the whole log gives, without any snapshot."""
    copy = Server(server.build, server.definitions, server.arguments)
    shutil.copytree(server.data, copy.data, ignore=shutil.ignore_patterns('lock', '*.sock'))
    shutil.rmtree(copy.data / 'snapshot')
    (copy.data / 'snapshot').mkdir()
    with copy:
        state = copy.call('sys.state_hash')
        copy.stop()
    return state


def last_check(server, account, where):
    life = finish(server, account, where)
    while True:  # a wake-up may still be due: two looks that agree
        state = server.call('sys.state_hash')
        time.sleep(0.05)
        if server.call('sys.state_hash') == state:
            break
    server.kill()
    life.end()
    expect(from_zero(server), state, where + ': state hash from zero')


def run_shares(run, shares, jobs=JOBS):
    """What run(*share) gives for each of them, several at once."""
    with multiprocessing.Pool(jobs) as pool:
        return pool.starmap(run, shares, chunksize=1)


def verdict(count, failed):
    """The last lines of a run; its exit code."""
    print('\n'.join(failed))
    print('%d passed, %d failed' % (count - len(failed), len(failed)))
    return 1 if failed else 0
