"""The engine across crashes and numbers of threads: limits, messages on their way, action ids; refusals before anything is written."""
import json
import os
import random
import socket
import subprocess
import time

import msgpack

import harness
from harness import Failure, Server, expect

START = 1772366400
NOON = '2026-03-01T12:00:00Z'
SECRET = '00112233445566778899aabbccddeeff'
SHOP = """
profiles: {anonymous_ttl: never, known_ttl: never}
events:
  Seen: {keep: 30d}
  Signed Up: {keep: 30d}
  Order Completed: {keep: 30d, properties: {total: number}}
channels:
  email: {consent: not_needed}
  push: {consent: not_needed}
journeys:
  look_again:
    state: live
    trigger: {event: Seen}
    steps:
      - wait: 1h
      - send: {id: again, channel: push, template: again}
  thanks:
    state: live
    trigger: {event: Order Completed}
    reentry: {after: 1h}
    steps:
      - send: {id: hello, channel: email, template: hello}
      - wait: 2h
      - split: {a: 50%, b: 50%}
        paths:
          a: [{send: {id: more, channel: email, template: more}}]
          b: [{wait: 1d}, {send: {id: later, channel: push, template: later}}]
"""


class Sender:
    """A Forward connection; one chunk at a time."""

    def __init__(self, server):
        self.socket = socket.create_connection(('127.0.0.1', server.port))
        self.socket.settimeout(60)
        self.unpacker = msgpack.Unpacker(raw=False)

    def send(self, messages, chunk):
        entries = [[START, message] for message in messages]
        self.socket.sendall(msgpack.packb(['t', entries, {'chunk': chunk}]))

    def acked(self):
        while True:
            for answer in self.unpacker:
                return answer['ack']
            data = self.socket.recv(4096)
            if not data:
                raise Failure('no ack: the server closed the connection')
            self.unpacker.feed(data)

    def close(self):
        self.socket.close()


def track(event, number, user=None, anonymous=None):
    message = {'type': 'track', 'event': event, 'messageId': '%s-%s' % (event, number), 'timestamp': NOON}
    if user:
        message['userId'] = user
    if anonymous:
        message['anonymousId'] = anonymous
    return message


def deliver(server, messages, chunk):
    sender = Sender(server)
    sender.send(messages, chunk)
    expect(sender.acked(), chunk, 'ack')
    sender.close()


# ---- the outbox limit ------------------------------------------------------------------------------------------------

def test_deferrals_by_the_outbox_limit_replay_the_same_with_another_limit(build):
    arguments = ['--fake-clock', NOON, '--outbox-limit', '128KiB', '--shards', '2', '--snapshot-every', '0']
    with Server(build, SHOP, arguments) as s:
        deliver(s, [track('Order Completed', n, 'u%d' % n) for n in range(800)], 'orders')
        before, queue = s.stats()['actions'], s.call('actions.queue')['actions']
        if not before['deferred'] or not before['created']:
            raise Failure('nothing was deferred, or all of it: %r' % before)
        s.kill()
        s.start('--outbox-limit', '0')
        expect(s.stats()['actions'], before, 'actions after the replay')
        expect(sorted(a['action_id'] for a in s.call('actions.queue')['actions']), sorted(a['action_id'] for a in queue), 'outbox')
        state = s.call('sys.state_hash')
        s.kill()
        s.start('--outbox-limit', '0')
        expect(s.call('sys.state_hash'), state, 'state hash')


# ---- messages between threads ------------------------------------------------------------------------------------------

def killed_while_merging(build, rounds, people):
    chance = random.Random(7)
    resent = 0
    with Server(build, SHOP, ['--fake-clock', NOON, '--shards', '2', '--snapshot-every', '1MiB']) as s:
        for r in range(rounds):
            ids = range(r * people, (r + 1) * people)
            messages = [track('Seen', n, None, 'a%d' % n) for n in ids] + [track('Signed Up', n, 'u%d' % n, 'a%d' % n) for n in ids]
            sender = Sender(s)
            sender.send(messages, 'first')
            time.sleep(chance.uniform(0.001, 0.04))
            s.kill()
            sender.close()
            s.start()
            resent += s.stats()['ring']['resent']
            for at in range(0, len(messages), 300):  # on the test clock each merge waits for three syncs, one after the other
                deliver(s, messages[at:at + 300], 'again %d' % at)
        stats = s.stats()
        expect(stats['identity']['pending'], 0, 'merges that wait')
        expect(stats['events']['applied'], 2 * people * rounds, 'applied, each once')
        for event in ('Seen', 'Signed Up'):
            expect(s.call('query.count', 'count("%s") == 1' % event)['count'], people * rounds, 'people with one %s' % event)
        expect(stats['profiles']['total'], people * rounds, 'people')
        state = s.call('sys.state_hash')
        s.kill()
        s.start()
        expect(s.call('sys.state_hash'), state, 'state hash')
    if not resent:
        raise Failure('no message was on its way at any kill: nothing was tested')


def test_messages_on_their_way_at_a_kill_arrive_once(build):
    killed_while_merging(build, 6, 1500)


def test_messages_on_their_way_at_forty_kills_arrive_once(build):
    killed_while_merging(build, 40, 1500)


test_messages_on_their_way_at_forty_kills_arrive_once.group = 'crash'


# ---- action ids ------------------------------------------------------------------------------------------------------------

def timeline(path, people):
    """A day of people who look, come back, sign up and order, in the order of time.

    Before two ids are known to belong together they live on two shards, and who of them started a journey is part of its
    id for ever. So what only the anonymous id says comes in an earlier or later second than the link (the test clock waits
    until a merge is over): sent at the same moment, the two race, as they would in a shop.
    """
    chance, lines = random.Random(11), []
    for n in range(people):
        at = chance.randrange(0, 86400)
        for k in range(chance.randrange(1, 4)):
            lines.append((at, dict(track('Seen', '%d-%d' % (n, k), None, 'a%d' % n))))
            at += chance.choice((0, 0, 1, 400, 5000))
        if n % 4 == 0:
            lines.append((at, track('Order Completed', 'a%d' % n, None, 'a%d' % n)))
        at += chance.choice((1, 900))
        lines.append((at, track('Signed Up', n, 'u%d' % n, 'a%d' % n)))
        at += chance.choice((0, 1, 4000))
        lines.append((at, track('Order Completed', n, 'u%d' % n, 'a%d' % n)))
        if n % 3 == 0:
            lines.append((at + chance.choice((1, 4000)), track('Order Completed', 'late%d' % n, None, 'a%d' % n)))
    lines.sort(key=lambda line: line[0])
    for at, message in lines:
        message['timestamp'] = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(START + at))
    return harness.write_lines(path, [message for _, message in lines])


def all_actions(s):
    """Every pending action, delivered to a subscriber that confirms as it goes."""
    pending, found, rpc = s.stats()['outbox']['pending'], [], s.rpc()
    rpc.call('actions.subscribe', {'name': 'test'})
    while len(found) < pending:
        action = rpc.notification()[1][0]
        found.append(action)
        rpc.call('actions.ack', {'ids': [action['action_id']]})
    rpc.close()
    return found


def ids_of(build, lines, threads, restarts):
    """The action ids of the whole timeline, in `restarts` + 1 pieces with a kill or a stop between them."""
    with open(lines, encoding='utf-8') as file:
        everything = file.readlines()
    size = len(everything) // (restarts + 1) + 1
    with Server(build, SHOP, ['--fake-clock', NOON, '--shards', threads, '--hash-secret', SECRET]) as s:
        for piece in range(restarts + 1):
            part = s.home / 'part.ndjson'
            part.write_text(''.join(everything[piece * size:(piece + 1) * size]), encoding='utf-8')
            s.cli('ingest', '--follow-clock', part)
            if piece < restarts:
                s.kill() if piece % 2 else s.stop()
                s.start('--shards', str(1 + (piece + threads) % 3))
        s.call('clock.advance', {'by': '3d'})
        return {a['action_id']: a for a in all_actions(s)}, s.stats()


def same_ids(build, people, variants):
    with harness.scratch() as home:
        lines = timeline(home / 'day.ndjson', people)
        wanted, stats = ids_of(build, lines, 1, 0)
        expect(stats['identity']['merged'], people, 'merges')
        if len(wanted) < people:
            raise Failure('only %d actions: too little was compared' % len(wanted))
        for threads, restarts in variants:
            found, _ = ids_of(build, lines, threads, restarts)
            what = '%d threads, %d restarts' % (threads, restarts)
            expect(sorted(found.keys() ^ wanted.keys()), [], 'action ids of only one side, ' + what)
            for key in wanted:
                expect(found[key], wanted[key], 'action, ' + what)


def test_action_ids_do_not_depend_on_threads_or_restarts(build):
    same_ids(build, 80, ((2, 0), (3, 2)))


def test_action_ids_do_not_depend_on_threads_or_restarts_for_many(build):
    same_ids(build, 400, ((2, 0), (3, 0), (1, 3), (2, 4), (4, 9)))


test_action_ids_do_not_depend_on_threads_or_restarts_for_many.group = 'crash'


# ---- refusals -------------------------------------------------------------------------------------------------------------

def refused(build, data, *arguments):
    done = subprocess.run([str(build / 'hourglassd'), '--data', str(data), *arguments], capture_output=True, text=True, timeout=30)
    if os.path.exists(data):
        raise Failure('%s: the data directory was made' % ' '.join(arguments))
    return done.returncode, done.stderr


def test_bad_addresses_and_keys_are_refused_before_anything_is_written(build):
    with harness.scratch() as home, socket.socket() as busy:
        busy.bind(('127.0.0.1', 0))
        busy.listen()
        port = busy.getsockname()[1]
        (home / 'open.key').write_text('secret')
        os.chmod(home / 'open.key', 0o644)
        (home / 'empty.key').write_text('')
        os.chmod(home / 'empty.key', 0o600)
        for arguments in (['--ingest', 'tcp://0.0.0.0:0'], ['--ingest', 'udp://127.0.0.1:1'], ['--ingest', 'tcp://127.0.0.1:70000'],
                          ['--ingest', 'tcp://127.0.0.1:%d' % port], ['--admin', 'tcp://127.0.0.1:0'], ['--emit', 'nowhere'],
                          ['--admin', 'unix:///' + 'x' * 200], ['--shared-key-file', str(home / 'open.key')],
                          ['--shared-key-file', str(home / 'empty.key')], ['--shared-key-file', str(home / 'no.key')],
                          ['--hash-secret', 'xyz'], ['--fake-clock', 'noon'], ['--io', 'magic'], ['--log-segment', '4096']):
            if arguments[0] != '--ingest':
                arguments = arguments + ['--ingest', 'tcp://127.0.0.1:0']
            code, said = refused(build, home / 'data', *arguments)
            expect(code, 78, 'exit code of %s (%s)' % (' '.join(arguments), said.strip()))
            if 'reason=' not in said:
                raise Failure('%s: no reason was told' % arguments)


# ---- definitions while events come ---------------------------------------------------------------------------------------

def test_definitions_change_under_load_and_replay_the_same(build):
    with Server(build, SHOP, ['--shards', '2', '--snapshot-every', '0']) as s:
        generator = subprocess.Popen([str(build / 'hourglass-load'), '--ingest', 'tcp://127.0.0.1:%d' % s.port, '--rate', '10000',
                                      '--users', '3000', '--shape', 'pairs', '--duration', '4', '--json'],
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        rpc = s.rpc()
        for n in range(6):
            time.sleep(0.4)
            more = '\nsegments:\n  s%d: count("Order Completed", days(7)) >= %d\nattributes:\n  phone: {type: string, identifies: %s}\n' % (
                n, n + 1, 'true' if n % 2 else 'false')
            answer = rpc.call('definitions.apply', {'files': {'shop.yaml': SHOP + more}})
            expect(answer['changed'], True, 'apply %d' % n)
        report = json.loads(generator.communicate(timeout=60)[0])
        expect(report['acked'], report['sent'], 'acknowledged events')
        state, stats = s.call('sys.state_hash'), s.stats()['events']
        s.kill()
        s.start()
        expect(s.call('sys.state_hash'), state, 'state hash')
        expect(s.stats()['events'], stats, 'event counters')
