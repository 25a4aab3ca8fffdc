"""What hourglassd says before it runs: help, its version, every value and where it came from; and mistakes in what it is told."""
import os
import socket
import subprocess

import harness
from harness import Failure, Server, expect, until


def run(build, *arguments, environment=None):
    return subprocess.run([str(build / 'hourglassd'), *map(str, arguments)], capture_output=True, text=True, timeout=30,
                          env=dict(os.environ, **(environment or {})))


def config(build, *arguments, environment=None):
    """Every value: {name: (value, where from)}."""
    done = run(build, *arguments, '--print-config', environment=environment)
    expect((done.returncode, done.stderr), (0, ''), 'print-config')
    return {line.split()[0]: (line.split()[1], line.split('(')[1][:-1]) for line in done.stdout.splitlines()}


def test_help_lists_what_print_config_prints(build):
    done, named = run(build, '--help'), run(build, '--version')
    expect((done.returncode, done.stderr, named.returncode, named.stdout.split()[0]), (0, '', 0, 'hourglassd'), 'help, version')
    for name in config(build):
        expect('--' + name in done.stdout, True, name + ' in help')
    expect('[64MiB]' in done.stdout, True, 'defaults in help')


def test_a_flag_is_stronger_than_the_environment_than_the_file_than_the_default(build):
    with harness.scratch() as home:
        (home / 'c.yaml').write_text('shards: 3\nmemory-limit: 1GiB\nsync: interval\ningest: [tcp://127.0.0.1:1, unix:///run/a]\naccept-clock: true\n')
        environment = {'HOURGLASS_CONFIG': str(home / 'c.yaml'), 'HOURGLASS_SHARDS': '4', 'HOURGLASS_MEMORY_LIMIT': '2G', 'HOURGLASS_ERASE_WITHIN': '2d',
                       'HOURGLASS_ORDER': 'sender'}
        found = config(build, '--shards', 5, '--data', home / 'd', '--log-keep', 'all', environment=environment)
        wanted = {'shards': ('5', 'flag'), 'memory-limit': (str(2 << 30), 'environment'), 'sync': ('interval', 'file'),
                  'ingest': ('tcp://127.0.0.1:1,unix:///run/a', 'file'), 'accept-clock': ('true', 'file'), 'log-keep': ('true', 'flag'),
                  'erase-within': ('172800', 'environment'), 'order': ('sender', 'environment'), 'log-segment': (str(64 << 20), 'default'),
                  'data': (str(home / 'd'), 'flag'), 'admin': ('unix://%s/d/admin.sock' % home, 'default'), 'definitions': ('-', 'default')}
        expect({name: found[name] for name in wanted}, wanted, 'values')
        expect((home / 'd').exists(), False, 'only printed')


def test_sizes_and_durations_have_units(build):
    for text, wanted in (('7', 7), ('7B', 7), ('3K', 3 << 10), ('3KiB', 3 << 10), ('3KB', 3000), ('2MB', 2000000), ('1GB', 1000000000), ('2TiB', 2 << 40)):
        expect(config(build, '--outbox-limit', text)['outbox-limit'][0], str(wanted), text)
    for text, wanted in (('90', 90), ('90s', 90), ('15m', 900), ('24h', 86400), ('7d', 604800)):
        expect(config(build, '--erase-within', text)['erase-within'][0], str(wanted), text)
    expect(run(build, '--outbox-limit', '99999999TiB').returncode, 2, 'more than 64 bits')
    for text, wanted in (('1', 'true'), ('true', 'true'), ('0', 'false'), ('false', 'false')):
        expect(config(build, environment={'HOURGLASS_ACCEPT_CLOCK': text})['accept-clock'][0], wanted, text)


def test_mistakes_are_named_with_what_was_meant(build):
    with harness.scratch() as home:
        (home / 'typo.yaml').write_text('shrads: 2\n')
        (home / 'deep.yaml').write_text('data: {dir: x}\n')
        for code, said, arguments in ((2, 'did you mean shards?', ['--shrads', '2']), (2, '--help lists them', ['--nothing-like-it-at-all']),
                                      (2, '--data needs a value', ['--data']), (2, 'an argument nobody asked for', ['start']),
                                      (2, 'at most 8 addresses', ['--ingest', 'tcp://127.0.0.1:1'] * 9),
                                      (78, 'did you mean shards?', ['--config', home / 'typo.yaml']),
                                      (78, 'flat map', ['--config', home / 'deep.yaml']), (78, 'No such file', ['--config', home / 'none'])):
            done = run(build, *arguments)
            expect((done.returncode, said in done.stderr), (code, True), '%s: %s' % (arguments, done.stderr))


def test_what_an_engine_cannot_be_given_is_refused_before_anything_is_written(build):
    with harness.scratch() as home:
        here = ['--data', home / 'data', '--ingest', 'unix://%s/in' % home, '--admin', 'unix://%s/admin' % home]
        for said, arguments in (('arrival or sender', ['--order', 'any']), ('auto, portable', ['--cpu', 'mmx']), ('io', ['--io', 'poll']),
                                ('fake-clock', ['--fake-clock', 'yesterday']), ('fake-clock', ['--fake-clock', '1900-01-01T00:00:00Z']),
                                ('fake-clock', ['--fake-clock', '']), ('hash-secret', ['--hash-secret', 'abc']), ('hash-secret', ['--hash-secret', 'zz']),
                                ('hash-secret', ['--hash-secret', 'a ']), ('hash-secret', ['--hash-secret', '']), ('hash-secret', ['--hash-secret', '00' * 33])):
            done = run(build, *here, *arguments)
            expect((done.returncode, said in done.stderr, (home / 'data').exists()), (78, True, False), '%s: %s' % (arguments, done.stderr))
        done = run(build, *here, environment={'HOURGLASS_CRASH_AT': 'nowhere_at_all:1'})
        expect((done.returncode, 'no such place' in done.stderr), (78, True), done.stderr)


def test_a_wall_clock_behind_the_log_is_not_believed_unless_the_operator_says_so(build):
    with Server(build, arguments=['--shards', 1]) as s:
        s.stop()
        s.start('--fake-clock', '4102444800')  # seconds are a time, too: 2100
        s.cli('ingest', harness.write_lines(s.home / 'm.ndjson', [{'type': 'track', 'userId': 'u1', 'event': 'Order Completed', 'messageId': 'm'}]))
        s.stop()
        try:
            s.start()
            raise AssertionError('it started')
        except Failure:
            expect((s.process.returncode, 'behind the log' in s.stderr()), (78, True), s.stderr())
        s.start('--accept-clock')
        expect(s.call('profile.get', 'u1')['user_id'], 'u1', 'what was there')
        s.stop()


def test_acks_that_do_not_wait_for_the_disk_are_warned_of_and_a_clean_stop_keeps_everything(build):
    with Server(build, arguments=['--sync', 'none', '--shards', 2]) as s:
        until(lambda: 'event=sync_none' in s.stderr(), 'the warning')  # it comes with the ready line
        lines = harness.write_lines(s.home / 'm.ndjson', [
            {'type': 'track', 'userId': 'u%d' % i, 'event': 'Order Completed', 'messageId': 'm%d' % i} for i in range(100)])
        expect('100' in s.cli('ingest', lines).stdout, True, 'acknowledged')
        s.stop()
        s.start()
        expect(s.stats()['events']['applied'], 100, 'applied')
        s.stop()


def test_a_port_that_somebody_else_holds_is_named_and_nothing_is_served(build):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        with Server(build) as s:
            s.stop()
            s.port = taken.getsockname()[1]
            try:
                s.start()
                raise AssertionError('it started')
            except Failure:
                said = s.stderr().splitlines()[-1]
            expect((s.process.returncode, 'event=bad_option' in said, 'tcp://127.0.0.1:%d: Address already in use' % s.port in said), (78, True, True), said)
