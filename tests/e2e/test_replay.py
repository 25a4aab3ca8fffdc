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


def demo_lines(path, count):
    with gzip.open(DEMO / 'orders.ndjson.gz', 'rt', encoding='utf-8') as file:
        lines = [line for _, line in zip(range(count), file)]
    path.write_text(''.join(lines), encoding='utf-8')
    return path


def play(build, lines, shards):
    """The shop's year (or its beginning) on a test clock; returns (state hash, action records, stats)."""
    arguments = ['--fake-clock', START, '--shards', shards, '--hash-secret', SECRET, '--sync', 'none']
    with Server(build, DEMO / 'definitions', arguments) as s:
        s.cli('ingest', '--follow-clock', lines)
        state, stats = s.call('sys.state_hash'), s.stats()
        actions = all_actions(s)
        s.stop()
    return state, actions, stats


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


def by_id(actions):
    found = {a['action_id']: a for a in actions}
    expect(len(found), len(actions), 'action ids')
    return found


def simulated(build, lines):
    done = subprocess.run([str(build) + '/hourglass', 'simulate', '--definitions', str(DEMO / 'definitions'), '--events', str(lines),
                           '--hash-secret', SECRET], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def same_actions(found, wanted, what):
    found, wanted = by_id(found), by_id(wanted)
    expect(len(found), len(wanted), 'number of actions, ' + what)
    for key, action in wanted.items():
        expect(found.get(key), action, 'action %s, %s' % (key, what))


def test_simulate_equals_life_and_threads_do_not_matter(build, count=4000):
    with harness.scratch() as home:
        lines = demo_lines(home / 'orders.ndjson', count)
        state, actions, stats = play(build, lines, 1)
        expect(stats['events']['applied'], count, 'applied')
        if not actions:
            raise harness.Failure('the shop caused no actions: nothing was compared')
        same_actions(actions, simulated(build, lines), 'simulate against life')
        state2, actions2, _ = play(build, lines, 2)
        expect(state2, state, 'state hash with 2 threads')
        same_actions(actions2, actions, '2 threads against 1')


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
