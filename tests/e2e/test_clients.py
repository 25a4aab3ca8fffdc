"""Real Forward clients, every mode, every event acknowledged and counted once."""
import json
import subprocess

import harness
from harness import Server, expect

EVENTS = 10000
MODES = [('fluent-org', 'Message'), ('fluent-org', 'Forward'), ('fluent-org', 'PackedForward'),
         ('fluent-org', 'CompressedPackedForward'), ('fluent-logger', 'Message'), ('fluent-logger', 'PackedForward'),
         ('fluent-logger', 'CompressedPackedForward')]
CLIENTS = harness.ROOT / 'tests' / 'e2e' / 'clients'


def install():
    if not (CLIENTS / 'node_modules' / '@fluent-org').is_dir():
        subprocess.run(['npm', 'ci', '--no-audit', '--no-fund'], cwd=CLIENTS, check=True)


def send_with_node(build, client, mode):
    install()
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


def node_test(client, mode):
    def test(build):
        send_with_node(build, client, mode)
    test.__name__ = 'every_event_of_%s_in_%s_is_acked_and_counted' % (client.replace('-', '_'), mode)
    test.full = True
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


test_python_logger_is_counted.full = True
