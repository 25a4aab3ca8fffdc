#!/usr/bin/python3
"""How long a start takes after a kill: from the log alone, and from a snapshot with a tail of the log behind it.

usage: bench/recovery.py BUILD [--events N] [--users N] [--shards N]

Prints what was replayed, how fast, and how that compares with the rate at which the same events came in. Full figures:
--events 10000000 --users 5000000 (about 12 GB of memory).
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'e2e'))
from harness import Server  # noqa: E402

DEFINITIONS = pathlib.Path(__file__).resolve().parent / 'definitions' / 'shop20'


def load(server, build, events, users, seed):
    """Events per second, as they came in."""
    command = [build / 'hourglass-load', '--closed', '--events', events, '--users', users, '--conns', 8, '--batch', 500, '--seed', seed,
               '--ingest', 'tcp://127.0.0.1:%d' % server.port, '--json']
    begun = time.monotonic()
    report = json.loads(subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True).stdout)
    return report['acked'] / (time.monotonic() - begun), report


def restart(server, what, live_rate):
    server.kill()
    (server.home / 'stderr').write_text('')
    begun = time.monotonic()
    server.start()
    seconds = time.monotonic() - begun
    found = {k: int(v) for k, v in re.findall(r'(\w+_bytes|records)=(\d+)', [line for line in server.stderr().splitlines() if 'event=recovered' in line][0])}
    size = found['log_bytes'] + found['snapshot_bytes']
    print('%-24s %.2f s: snapshot %.0f MB, log %.0f MB, %d records; %.2f GB/s, %.0f records/s = %.2f of the live rate' % (
        what, seconds, found['snapshot_bytes'] / 1e6, found['log_bytes'] / 1e6, found['records'], size / 1e9 / seconds,
        found['records'] / seconds, found['records'] / seconds / live_rate))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build', type=pathlib.Path)
    parser.add_argument('--events', type=int, default=500000)
    parser.add_argument('--users', type=int, default=100000)
    parser.add_argument('--shards', type=int, default=2)
    a = parser.parse_args()
    with Server(a.build, DEFINITIONS, ['--shards', str(a.shards), '--snapshot-every', '0']) as server:
        rate, _ = load(server, a.build, a.events, a.users, 1)
        print('%d events of %d people came in at %.0f a second' % (a.events, a.users, rate))
        restart(server, 'from the log', rate)
        begun = time.monotonic()
        server.call('snapshot.start')
        print('a snapshot of an idle server takes %.2f s' % (time.monotonic() - begun))
        load(server, a.build, a.events // 5, a.users, 2)
        restart(server, 'from a snapshot and log', rate)


if __name__ == '__main__':
    main()
