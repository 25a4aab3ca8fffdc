"""What bench/ measures with: every set of definitions it makes or contains is a good one, its programs run and count what they
say, and a subscriber may confirm as it likes."""
import json
import os
import re
import subprocess

import msgpack

import harness
from harness import Server, expect
from test_cli import run

MAKE = harness.ROOT / 'bench' / 'definitions' / 'make'
MADE = (('shop',), ('shop', '10', '0'), ('shop', '10000', '0'), ('aim',))
ANSWER_EVERY_EVENT = """
events: {Product Viewed: {keep: 1d}}
channels: {load: {consent: not_needed}}
journeys:
  answer:
    trigger: {event: Product Viewed}
    reentry: always
    steps: [{send: {id: m, channel: load, template: t}}]
"""


def made(arguments):
    return subprocess.run([str(MAKE), *arguments], capture_output=True, text=True, check=True).stdout


def load(build, *arguments):
    done = subprocess.run([str(build / 'hourglass-load'), '--json', *map(str, arguments)], capture_output=True, text=True, timeout=300)
    expect(done.returncode, 0, done.stderr)
    return json.loads(done.stdout)


def test_every_definition_set_of_the_benchmarks_is_good(build):
    with harness.scratch() as home:
        folders = sorted(d for d in MAKE.parent.iterdir() if d.is_dir())
        for arguments in MADE:
            folders.append(home / '-'.join(arguments))
            folders[-1].mkdir()
            (folders[-1] / 'made.yaml').write_text(made(arguments))
        expect(len(folders) > len(MADE), True, 'sets')
        for folder in folders:
            done = run(build, 'check', folder)
            expect(done.returncode, 0, '%s\n%s' % (folder, done.stderr[-2000:]))


def test_what_the_benchmarks_make_is_loaded_and_answered(build):
    with Server(build, made(('shop', '200', '20'))) as s:
        to = ('--ingest', 'tcp://127.0.0.1:%d' % s.port, '--admin', 'unix://%s' % s.admin_path, '--shape', 'mix', '--users', 500)
        load(build, *to, '--closed', '--events', 20000, '--seed', 1)
        before = s.stats()['actions']
        expect(before['created'] > 0, True, 'nobody has read these yet')
        said = load(build, *to, '--rate', 10000, '--events', 20000, '--seed', 2, '--subscribe')
        now = s.stats()['actions']
        expect((said['as_sent'], said['sent']), (True, 20000), 'events')
        expect(now['confirmed'], now['created'], 'all are confirmed, those from before too')
        expect(said['actions'], now['created'], 'each was taken once')
        expect(0 < said['timed_actions'] <= now['created'] - before['created'], True, 'only answers to events of this run are timed')


def test_the_other_programs_run(build):
    ends = dict(os.environ, ASAN_OPTIONS='detect_leaks=0')  # they keep what they made to the end, and end
    with harness.scratch() as home:
        (home / 'made.yaml').write_text(made(('shop', '20', '5')))
        for command in (('stages', '--users', 100, '--events', 500, '--runs', 1, '--shape', 'mix', '--definitions', home),
                        ('scan', '--profiles', 10000, '--runs', 1, '--naive-runs', 1), ('timers', '--timers', 10000, '--runs', 1),
                        ('compile', '--segments', 50, '--journeys', 10, '--runs', 1)):
            done = subprocess.run(['%s/hourglass-%s' % (build, command[0]), *map(str, command[1:])], capture_output=True, text=True, timeout=300, env=ends)
            expect((done.returncode, bool(re.search(r'\d', done.stdout))), (0, True), '%s\n%s' % (command, done.stderr[-2000:]))


def test_thousands_of_confirmations_may_be_under_way(build):
    with Server(build, ANSWER_EVERY_EVENT) as s:
        load(build, '--ingest', 'tcp://127.0.0.1:%d' % s.port, '--shape', 'small', '--users', 300, '--closed', '--events', 9000)
        actions = s.stats()['actions']['created']
        expect(actions > 3000, True, actions)
        rpc, given = s.rpc(), []
        rpc.call('actions.subscribe', 'load')
        while len(given) < actions:  # each with a request of its own, and no answer is waited for
            one = rpc.notification()[1][0]['action_id']
            given.append(one)
            rpc.socket.sendall(msgpack.packb([0, len(given) + 10, 'actions.ack', [one]]))
        expect(len(set(given)), actions, 'each came once')
        expect(rpc.call('actions.ack', given[:10000])['confirmed'], 0, 'what is confirmed is confirmed')
        expect(s.stats()['outbox']['pending'], 0, 'pending')
