#!/usr/bin/python3
"""The daemon dies at every named place (persist/crash.h), under load and inside recovery; then every promise is checked.

usage: tests/crash/points.py BUILD [--seeds N] [--only PLACE]      ends with `N passed, N failed`

One seed is one data directory: it dies once at every place under load, each time at another of its visits, and after each
of those deaths once more while it starts. At the end everything sent is there exactly once, and the whole log gives the
same state.
"""
import argparse
import collections
import random
import re
import sys
import time

import life
from harness import ROOT, Failure, Rpc, Server, expect

CRASH_EXIT = 137
LOAD_SECONDS, PATIENCE_SECONDS = 0.3, 5
OFTEN, SELDOM = [1, 1, 2, 3, 7, 20], [1, 1, 2]  # which visit
STARTING = ('write_', 'sync_', 'folder_', 'rename_', 'unlink_', 'truncate_', 'recovery_', 'tail_', 'log_opened')
ONLY_STARTING = ('truncate_', 'recovery_', 'tail_', 'log_')
RARE = ('backup_', 'rename_', 'truncate_', 'bundle_', 'shard_', 'file_', 'snapshot_listed', 'snapshot_pruned', 'recovery_', 'tail_', 'log_')


def places():
    table = (ROOT / 'persist' / 'crash.h').read_text(encoding='utf-8')
    return re.findall(r'^    X\((\w+)\)', table, re.MULTILINE)


def visit(place, chance):
    return 1 if place.startswith(('recovery_', 'backup_')) else chance.choice(SELDOM if place.startswith(RARE) else OFTEN)


def start(server, place):
    """True: it is ready. False: it died at that place before."""
    try:
        server.start(environment={'HOURGLASS_CRASH_AT': place} if place else None)
        return True
    except Failure:
        if server.process.returncode != CRASH_EXIT:
            raise
        return False


def disturb(server, place, chance, version):
    """What makes the rarer places come: a snapshot, and other definitions."""
    always = place.startswith(RARE)
    try:
        rpc = Rpc(server.admin_path)
        if always or chance.random() < 0.3:
            text = life.DEFINITIONS + '# %d\n' % version
            rpc.call('definitions.apply', {'files': {'shop.yaml': text}})
        if always or chance.random() < 0.7:
            rpc.call('snapshot.start')
        if place.startswith('backup_'):
            rpc.call('backup.start', str(server.home / ('backup-%d' % version)))
        rpc.close()
    except (OSError, Failure):
        pass


def died(server):
    return server.process.wait() == CRASH_EXIT


def live(server, account, place, chance, where, version):
    """What the life before left is looked at; then load until it dies; else a clean stop. True: it died."""
    try:
        life.check_life(server, account, where)
    except (OSError, Failure) as what:
        if (isinstance(what, OSError) or life.CLOSED in str(what)) and died(server):
            return True  # so soon: the next life looks
        raise
    clients = life.Life(server, account, chance.randrange(1 << 30))
    disturb(server, place, chance, version)
    life.await_death(server, LOAD_SECONDS if place.startswith(ONLY_STARTING) else PATIENCE_SECONDS)
    clients.end()
    if server.process.returncode not in (0, CRASH_EXIT):
        raise Failure('it ended with %s: %s' % (server.process.returncode, server.stderr()[-2000:]))
    return server.process.returncode == CRASH_EXIT


def check_backups(server, where):
    """What has its name is whole, whenever the server died; what has not is in nobody's way."""
    for backup in sorted(server.home.glob('backup-*')):
        if backup.suffix == '.hourglass-partial':
            server.cli('backup', backup.with_suffix(''))
            expect(backup.exists(), False, where + ': what a death left is removed by the next backup')
            backup = backup.with_suffix('')
        expect(server.cli('restore', backup, server.home / ('restored-' + backup.name), check=False).returncode, 0, where + ': ' + backup.name)


def run_seed(build, seed, only):
    chance, account, reached = random.Random(seed), life.Account(), collections.Counter()
    arguments = [*life.ARGUMENTS, '--io', chance.choice(['uring', 'epoll'])]
    order = [only] if only else places()
    inside = [place for place in places() if place.startswith(STARTING)]
    chance.shuffle(order)
    server = Server(build, life.DEFINITIONS, arguments)
    where = 'seed %d' % seed
    try:
        for i, place in enumerate(order):
            under_load = '%s:%d:ready' % (place, visit(place, chance))
            where = 'seed %d, %s' % (seed, under_load)
            if not start(server, under_load):
                raise Failure('it died before it was ready')
            reached['load ' + place] += live(server, account, place, chance, where, i)
            again = inside[(i + seed) % len(inside)]
            starting = '%s:%d' % (again, visit(again, chance))
            where += ', ' + starting
            if start(server, starting):
                server.kill()
            else:
                reached['start ' + again] += 1
        start(server, None)
        check_backups(server, where)
        life.last_check(server, account, where)
        failure = None
    except (Failure, OSError) as what:
        failure = '%s: %s' % (where, what)
    finally:
        server.__exit__()
    return reached, (account.made, len(account.acked), len(account.confirmed)), failure


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('--seeds', type=int, default=10)
    parser.add_argument('--only')
    a = parser.parse_args()
    begun = time.monotonic()
    results = life.run_shares(run_seed, [(a.build, seed, a.only) for seed in range(1, a.seeds + 1)])
    reached = sum((r for r, _, _ in results), collections.Counter())
    failed = [failure for _, _, failure in results if failure]
    for place in [a.only] if a.only else places():
        print('%-20s died %3d times under load or stopping, %3d while starting' % (place, reached['load ' + place], reached['start ' + place]))
        if not reached['load ' + place] + reached['start ' + place]:
            failed.append('%s: no life came there' % place)
    print('%d deaths in %.0f s; %d events, %d acknowledged, %d actions confirmed' % (
        sum(reached.values()), time.monotonic() - begun, *map(sum, zip(*(figures for _, figures, _ in results)))))
    return life.verdict(len(places()) + a.seeds, failed)


if __name__ == '__main__':
    sys.exit(main())
