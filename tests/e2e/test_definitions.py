"""A set of definitions reaches every shard, or the next start brings it there: the daemon dies at each step of the way."""
import signal
import socket
import time

import msgpack

from harness import Failure, Server, expect, until

PEOPLE = 500  # some in every shard
CRASH_EXIT = 137
FIRST = """
events:
  Seen: {keep: 365d}
segments:
  everybody: count("Seen") > 0
"""
SECOND = FIRST + '  once: count("Seen") == 1\n'
# Before any shard knows them, after the first one, in the middle, and with the last ones to go.
PLACES = ['bundle_written:1', 'shard_switched:1', 'shard_switched:33', 'shard_switched:64']


def server(build):
    return Server(build, FIRST, ['--shards', '2', '--snapshot-every', '0'])


def everybody_is_seen(s):
    with socket.create_connection(('127.0.0.1', s.port), timeout=30) as c:
        entries = [[int(time.time()), {'type': 'track', 'event': 'Seen', 'userId': 'u%d' % i, 'messageId': 'm%d' % i}] for i in range(PEOPLE)]
        c.sendall(msgpack.packb(['shop', entries, {'chunk': 'c'}]))
        expect(msgpack.unpackb(c.recv(100)), {'ack': 'c'}, 'the ack')


def write(s, text):
    (s.definitions / 'shop.yaml').write_text(text, encoding='utf-8')


def dies(s, place):
    s.process.wait(60)
    expect(s.process.returncode, CRASH_EXIT, 'it dies at ' + place)


def dies_reloading(s, text, place):
    s.start(environment={'HOURGLASS_CRASH_AT': place + ':ready'})
    write(s, text)
    s.process.send_signal(signal.SIGHUP)
    dies(s, place)


def expect_set(s, version, segments, where):
    """The same everywhere: each segment has all, which no shard without it could add its people to; and replay agrees."""
    expect(s.stats()['definitions']['version'], version, where + ': version')
    for name in segments:
        until(lambda: s.call('segment.count', name)['members'] == PEOPLE, '%s: all in %s' % (where, name), 20)
    expect(sorted(row['name'] for row in s.call('segment.list')), sorted(segments), where + ': segments')
    state = s.call('sys.state_hash')
    s.kill()
    s.start()
    expect(s.call('sys.state_hash'), state, where + ': replayed')


def test_a_first_start_that_dies_while_shards_are_told_of_their_definitions_is_done_by_the_next(build):
    for place in PLACES:
        s = server(build)
        try:
            try:
                s.start(environment={'HOURGLASS_CRASH_AT': place})
            except Failure:
                dies(s, place)
            else:
                raise Failure('it did not come to ' + place)
            s.start()
            everybody_is_seen(s)
            expect_set(s, 1, ['everybody'], place)
        finally:
            s.__exit__()


def test_a_change_that_dies_while_shards_are_told_is_done_by_the_next_start(build):
    for place in PLACES:
        with server(build) as s:
            everybody_is_seen(s)
            s.kill()
            dies_reloading(s, SECOND, place)
            s.start()
            expect_set(s, 2, ['everybody', 'once'], place)


def test_after_a_change_that_died_half_way_a_start_follows_the_directory_also_back(build):
    for place, version in (('bundle_written:1', 1), ('shard_switched:5', 3), ('shard_switched:64', 3)):
        with server(build) as s:
            everybody_is_seen(s)
            s.kill()
            dies_reloading(s, SECOND, place)
            write(s, FIRST)
            s.start()
            expect_set(s, version, ['everybody'], place)
