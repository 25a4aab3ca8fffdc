"""What lies in the data directory: when snapshots come, what is left of a log that two of them made needless, and what
`inspect --repair` makes of a damaged one."""
import re

from harness import MIB, Failure, Server, expect, small_disk, until
from test_engine import NOON, deliver, track

MARKER = 'fourteen-secret-words-that-nobody-else-says'
SHOP = """
profiles: {anonymous_ttl: never, known_ttl: never}
events:
  Seen: {keep: 30d, properties: {total: number}}
"""
BULK = 'x' * 900


def events(first, count, **properties):
    """As they are sent, with a property that nobody declared: the log has it, the state has not."""
    return [dict(track('Seen', n, 'u%d' % n), properties=dict({'total': n, 'undeclared': BULK}, **properties)) for n in range(first, first + count)]


def snapshots(server):
    return sorted(int(p.parent.name) for p in (server.data / 'snapshot').glob('*/MANIFEST'))


# ---- when they come --------------------------------------------------------------------------------------------------

def test_a_snapshot_comes_after_so_many_bytes_of_log(build):
    with Server(build, SHOP, ['--shards', '2', '--log-segment', '1MiB', '--snapshot-every', '2MiB']) as often, \
            Server(build, SHOP, ['--shards', '2', '--log-segment', '1MiB', '--snapshot-every', '1GiB']) as seldom:
        for number in (1, 2, 3):
            for server in (seldom, often):
                deliver(server, events(3000 * number, 3000), 'c%d' % number)  # 3 MB
            until(lambda: snapshots(often)[-1:] == [number], 'snapshot %d' % number, 30)
        until(lambda: snapshots(often) == [2, 3], 'the last two and no other', 30)
        expect(snapshots(seldom), [], 'none is due')


def test_a_snapshot_comes_sooner_when_the_disk_is_short(build):
    with small_disk(48 * MIB) as folder:
        server = Server(build, SHOP, ['--shards', '1', '--log-segment', '1MiB', '--snapshot-every', '1GiB'])
        server.data = folder / 'data'
        with server:
            for n in range(18):  # 18 MB of log are more than half of what the disk has then
                deliver(server, events(1000 * n, 1000), 'c%d' % n)
            until(lambda: snapshots(server), 'a snapshot', 30)


# ---- what is left ------------------------------------------------------------------------------------------------------

def files_with(server, text):
    return sorted(str(p.relative_to(server.data)) for p in server.data.rglob('*') if p.is_file() and text.encode() in p.read_bytes())


def test_nothing_is_left_of_a_log_that_two_snapshots_made_needless(build):
    with Server(build, SHOP, ['--shards', '2', '--log-segment', '1MiB', '--snapshot-every', '0']) as s:
        deliver(s, events(0, 200, note=MARKER), 'marked')
        if not files_with(s, MARKER):
            raise Failure('the log does not hold what was sent: nothing is tested')
        for n in range(1, 4):
            deliver(s, events(10000 * n, 4000), 'bulk%d' % n)  # four files of each thread
            s.call('snapshot.start')
        until(lambda: not files_with(s, MARKER), 'the marked events are in no file', 30)
        expect(s.call('query.count', 'count("Seen") == 1')['count'], 12200, 'people')
        state = s.call('sys.state_hash')
        s.kill()
        s.start()
        expect(s.call('sys.state_hash'), state, 'state hash')
        expect(files_with(s, MARKER), [], 'after a start')


# ---- repair -------------------------------------------------------------------------------------------------------------

def refused(server):
    """What a start that is refused says."""
    try:
        server.start()
    except Failure as failure:
        if '(65)' not in str(failure):
            raise
        return str(failure)
    raise Failure('the start was not refused')


def test_repair_gives_up_what_follows_the_damage_and_the_rest_goes_on(build):
    with Server(build, SHOP, ['--shards', '1', '--fake-clock', NOON, '--snapshot-every', '0']) as s:
        for n in range(10):
            deliver(s, events(100 * n, 100), 'c%d' % n)
        s.kill()
        log = s.data / 'log' / '000001-00-000001.hgl'
        content = log.read_bytes()
        place = content.index(b'Seen-550"' if b'Seen-550"' in content else b'Seen-550')
        log.write_bytes(content[:place] + b'!' + content[place + 1:])
        said = refused(s)
        named = re.search(r'(log/\S+\.hgl): offset (\d+): .*inspect --repair', said)
        if not named or named[1] != 'log/' + log.name or not 0 < place - int(named[2]) < 1 << 20:
            raise Failure('file and offset are not named: %s' % said)
        expect(s.cli('inspect', log, '--repair').returncode, 0, 'repair')
        s.start()
        expect(s.call('query.count', 'count("Seen") == 1')['count'], 500, 'what came before the damage')
        kept = list((s.data / 'broken').iterdir())
        expect(len(kept) == 1 and b'Seen-999' in kept[0].read_bytes(), True, 'what followed is kept aside')
        for n in range(10):
            deliver(s, events(100 * n, 100), 'again%d' % n)
        expect(s.call('query.count', 'count("Seen") == 1')['count'], 1000, 'sent again, each counts once')
