#!/usr/bin/python3
"""How long a start takes after a kill: from the log alone, and from a snapshot with a tail of the log behind it.

usage: bench/recovery.py BUILD [--users N] [--events N] [--shards N] [--no-log-alone]

People come in with two events each (so 86 % of --users are met); a start from that log; two snapshots (the log below the
older one goes); --events more events; a start from snapshot and log. Prints what was read and replayed, how fast, and the
processor time of an event beside what it took when it came in: that ratio is the one that neighbours do not change.
The row of bench/README.md: --users 5800000 --events 10000000 (13 GB of disk, 8 GB of memory, a quarter of an hour).
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'e2e'))
from harness import ROOT, Server  # noqa: E402

DEFINITIONS = ROOT / 'bench' / 'definitions' / 'shop20'


def cpu_s(server):
    fields = pathlib.Path('/proc/%d/stat' % server.process.pid).read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def load(server, build, events, users, seed):
    """Nanoseconds of processor time of one event as it came in."""
    command = [build / 'hourglass-load', '--closed', '--events', events, '--users', users, '--conns', 8, '--batch', 500, '--seed', seed,
               '--ingest', 'tcp://127.0.0.1:%d' % server.port, '--json']
    begun, cpu = time.monotonic(), cpu_s(server)
    report = json.loads(subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True).stdout)
    seconds, ns = time.monotonic() - begun, 1e9 * (cpu_s(server) - cpu) / report['acked']
    print('%d events of %d people came in at %.0f a second, %.0f ns of processor time each' % (
        report['acked'], users, report['acked'] / seconds, ns), flush=True)
    return ns


def restart(server, what, live_ns):
    server.kill()
    (server.home / 'stderr').write_text('')
    server.start()
    ns = 1e9 * cpu_s(server)
    line = [line for line in server.stderr().splitlines() if 'event=recovered' in line][0]
    found = {k: float(v) for k, v in re.findall(r'(\w+)=([\d.]+)', line)}
    print('%s: %.1f s; snapshot %.2f GB, log %.2f GB, %.2f GB/s; %d records, %.0f a second; %d people' % (
        what, found['seconds'], found['snapshot_bytes'] / 1e9, found['log_bytes'] / 1e9, found['gb_per_s'],
        found['records'], found['events_per_s'], server.stats()['profiles']['total']))
    if not found['snapshot_bytes']:
        ns /= found['records']
        print('    %.0f ns of processor time a record: %.2f times as fast as they came in' % (ns, live_ns / ns), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build', type=pathlib.Path)
    parser.add_argument('--users', type=int, default=100000)
    parser.add_argument('--events', type=int, default=200000)
    parser.add_argument('--shards', type=int, default=2)
    parser.add_argument('--no-log-alone', action='store_true')
    a = parser.parse_args()
    commit = subprocess.run(['git', '-C', ROOT, 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True).stdout.strip()
    print('%s at %s, %d threads' % (time.strftime('%Y-%m-%d'), commit, a.shards))
    with Server(a.build, DEFINITIONS, ['--shards', str(a.shards), '--snapshot-every', '0']) as server:
        live_ns = load(server, a.build, 2 * a.users, a.users, 1)
        if not a.no_log_alone:
            restart(server, 'from the log alone', live_ns)
        for _ in range(2):
            begun = time.monotonic()
            server.call('snapshot.start')
        print('a snapshot of an idle server takes %.1f s' % (time.monotonic() - begun), flush=True)
        load(server, a.build, a.events, a.users, 2)
        restart(server, 'from a snapshot and log', live_ns)


if __name__ == '__main__':
    main()
