"""Real Forward clients, every mode, every event acknowledged and counted once."""
import functools
import json
import shutil
import subprocess

import harness
from harness import Server, expect

EVENTS = 10000
MODES = [('fluent-org', 'Message'), ('fluent-org', 'Forward'), ('fluent-org', 'PackedForward'),
         ('fluent-org', 'CompressedPackedForward'), ('fluent-logger', 'Message'), ('fluent-logger', 'PackedForward'),
         ('fluent-logger', 'CompressedPackedForward')]
CLIENTS = harness.ROOT / 'tests' / 'e2e' / 'clients'


@functools.cache
def trouble_installing():
    """Installs the clients that package-lock.json names; returns what went wrong, or nothing. Asked once in a run."""
    if all((CLIENTS / 'node_modules' / name / 'package.json').is_file() for name in ('@fluent-org/logger', 'fluent-logger')):
        return ''
    if not shutil.which('npm') or not shutil.which('node'):
        return 'node or npm is missing: tools/install ci'
    done = subprocess.run(['npm', 'ci', '--no-audit', '--no-fund', '--fetch-retries=2', '--fetch-retry-mintimeout=2000',
                           '--fetch-timeout=30000'], cwd=CLIENTS, capture_output=True, text=True)
    if done.returncode == 0:
        return ''
    return ('the clients in tests/e2e/clients/package.json could not be installed. npm fetches them once, from the registry that '
            '`npm config get registry` names, so it needs a network; afterwards they stay in node_modules. npm said:\n' + done.stderr[-800:])


def send_with_node(build, client, mode):
    if trouble_installing():
        raise harness.Failure('the clients are not installed')
    with Server(build) as s:
        done = subprocess.run(['node', 'send.mjs', client, mode, str(s.port), str(EVENTS)], cwd=CLIENTS, capture_output=True,
                              text=True, timeout=300)
        if done.returncode != 0:
            raise harness.Failure('%s %s: %s' % (client, mode, done.stderr[-1500:]))
        expect(json.loads(done.stdout.splitlines()[-1]), {'acked': EVENTS, 'failed': 0}, 'acks')
        events = s.stats()['events']
        expect(events['applied'], EVENTS, 'applied')
        expect(events['received'], EVENTS + events['duplicate'], 'received')
        expect(events['rejected'], 0, 'rejected')
        expect(s.stats()['profiles']['total'], 997, 'people')
        s.stop()


def test_the_clients_can_be_installed(build):
    if trouble_installing():
        raise harness.Failure(trouble_installing())


test_the_clients_can_be_installed.group = 'clients'


def node_test(client, mode):
    def test(build):
        send_with_node(build, client, mode)
    test.__name__ = 'every_event_of_%s_in_%s_is_acked_and_counted' % (client.replace('-', '_'), mode)
    test.group = 'clients'
    return test


for one in MODES:
    globals()['test_' + '_'.join(one).replace('-', '_')] = node_test(*one)


def test_python_logger_is_counted(build):
    """python3-fluent-logger of Debian knows no acks: what it sent before closing is counted soon after."""
    with Server(build) as s:
        subprocess.run(['/usr/bin/python3', str(CLIENTS / 'send.py'), str(s.port), str(EVENTS)], check=True, timeout=120)
        events = s.wait_received(EVENTS)['events']
        expect((events['received'], events['applied'], events['rejected']), (EVENTS, EVENTS, 0), 'received, applied, rejected')
        s.stop()


test_python_logger_is_counted.group = 'clients'
