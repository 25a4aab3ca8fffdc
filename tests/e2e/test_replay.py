"""The same log gives the same state: after kill -9, from zero, with another number of threads, and by `simulate`."""
import gzip
import json
import random
import shutil
import subprocess
import time

import harness
from harness import DEMO, Server, expect

SECRET = '00112233445566778899aabbccddeeff'
START = '2010-12-01T00:00:00Z'
UNTIL = '2011-12-31T00:00:00Z'


def demo_lines(path, first, end):
    with gzip.open(DEMO / 'orders.ndjson.gz', 'rt', encoding='utf-8') as file:
        lines = file.readlines()[first:end]
    path.write_text(''.join(lines), encoding='utf-8')
    return len(lines)


def pending_actions(s):
    """Every pending action as it is printed, by person, in the order of creation."""
    return by_person(s.cli('tail', 'actions', '--pending').stdout)


def by_person(printed):
    people, ids = {}, set()
    for line in printed.splitlines():
        action = json.loads(line)
        people.setdefault(json.dumps(action['profile'], sort_keys=True), []).append(line)
        ids.add(action['action_id'])
    expect(len(ids), sum(map(len, people.values())), 'action ids')
    return people


def play(build, home, count, threads):
    """The shop's year (or its beginning) on a test clock, restarted for each number of threads but the first; returns what
    must not depend on it: the state hash of every shard, the actions of every person, counts."""
    arguments = ['--fake-clock', START, '--hash-secret', SECRET]
    with Server(build, DEMO / 'definitions', arguments + ['--shards', threads[0]]) as s:
        for i, n in enumerate(threads):
            if i:
                s.stop()
                s.start('--shards', n)
            demo_lines(home / 'part.ndjson', count * i // len(threads), count * (i + 1) // len(threads))
            s.cli('ingest', '--follow-clock', home / 'part.ndjson')
        s.call('clock.advance', {'to': UNTIL})
        stats = s.stats()
        counts = {name: stats[name] for name in ('events', 'segments', 'journeys', 'actions', 'profiles', 'identity')}
        found = s.call('sys.state_hash'), counts, pending_actions(s)
        s.stop()
    return found


def simulated(build, home, count):
    demo_lines(home / 'all.ndjson', 0, count)
    done = subprocess.run([str(build) + '/hourglass', 'simulate', '--definitions', str(DEMO / 'definitions'), '--events',
                           str(home / 'all.ndjson'), '--until', UNTIL, '--hash-secret', SECRET], capture_output=True, text=True, check=True)
    return by_person(done.stdout)


def same_actions(found, wanted, what):
    expect(sorted(map(str, found.keys() ^ wanted.keys())), [], 'people with actions on only one side, ' + what)
    for person, actions in wanted.items():
        expect(found[person], actions, 'actions of %s, %s' % (person, what))


def same_life(build, count, at_least, variants):
    """What `simulate` prints for these messages is what happens, byte for byte, whatever the number of threads."""
    with harness.scratch() as home:
        wanted = simulated(build, home, count)
        if sum(map(len, wanted.values())) < at_least:
            raise harness.Failure('the shop caused too few actions: little was compared')
        first = None
        for threads in variants:
            what = 'threads ' + ', then '.join(map(str, threads))
            state, counts, actions = play(build, home, count, threads)
            same_actions(actions, wanted, 'life against simulate, ' + what)
            first = first or (state, counts)
            expect(counts, first[1], 'counts, ' + what)
            expect(state, first[0], 'state hash of every shard, ' + what)


def test_a_quarter_in_life_equals_simulate_across_a_restart_with_more_threads(build):
    same_life(build, 7500, 3000, ([1, 2],))


def test_threads_do_not_matter(build):
    same_life(build, 1500, 300, ([1], [2], [4], [2, 1]))


def test_the_whole_year_in_life_equals_simulate(build):
    same_life(build, 40000, 20000, ([1], [2], [1, 2]))


test_the_whole_year_in_life_equals_simulate.group = 'crash'


def from_zero(build, s):
    """Starts on a copy of the data without its snapshots: everything comes from the log."""
    copy = Server(build, s.definitions, s.arguments)
    shutil.copytree(s.data, copy.data)
    shutil.rmtree(copy.data / 'snapshot')
    (copy.data / 'snapshot').mkdir()
    with copy:
        state, stats = copy.call('sys.state_hash'), copy.stats()
        copy.stop()
    return state, stats


def load(s, build, seed, seconds):
    """hourglass-load in the background; its JSON report comes when the server is gone or the time is over."""
    return subprocess.Popen([str(build) + '/hourglass-load', '--ingest', 'tcp://127.0.0.1:%d' % s.port, '--rate', '20000', '--users', '2000',
                             '--shape', 'pairs', '--seed', str(seed), '--duration', str(seconds), '--json'],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def kill_loop(build, kills):
    shuffled = random.Random(20260301)
    acked = 0
    arguments = ['--log-keep', 'all', '--hash-secret', SECRET, '--shards', '2', '--log-segment', '4MiB', '--snapshot-every', '16MiB']
    with Server(build, arguments=arguments) as s:
        for n in range(kills):
            generator = load(s, build, n, 5)
            while n % 3 == 0 and s.stats()['events']['received'] < 2000 and generator.poll() is None:
                time.sleep(0.02)  # the others die at any moment, however slow the machine is
            time.sleep(shuffled.uniform(0.05, 0.6))
            s.kill()
            report = generator.communicate(timeout=60)[0]
            acked += json.loads(report)['acked'] if report else 0
            s.start()
            stats = s.stats()['events']
            if stats['applied'] + stats['late'] < acked:
                raise harness.Failure('kill %d: %d events were acknowledged, %d are there' % (n, acked, stats['applied']))
        if acked == 0:
            raise harness.Failure('nothing was acknowledged before any kill: nothing was tested')
        state, stats = s.call('sys.state_hash'), s.stats()['events']
        s.stop()
        state_of_log, stats_of_log = from_zero(build, s)
        expect(state_of_log, state, 'state hash from zero')
        expect(stats_of_log['events'], stats, 'event counters from zero')


def test_killed_three_times_under_load_nothing_acked_is_lost(build):
    kill_loop(build, 3)


def test_killed_fifty_times_under_load_nothing_acked_is_lost(build):
    kill_loop(build, 50)


test_killed_fifty_times_under_load_nothing_acked_is_lost.group = 'crash'
