#!/usr/bin/python3
"""A disk operation of the real daemon fails: the n-th one, once or from then on. Then every promise is checked.

usage: tests/crash/faults.py BUILD [--faults N] [--seed N]      ends with `N passed, N failed`

tests/crash/faults.c is preloaded and makes it fail. The daemon may go on (what failed was a snapshot, or could be tried
again) or end with 74; never with anything else, never with an ack for what is not there when it starts again.
"""
import argparse
import collections
import pathlib
import random
import sys
import time

import life
from harness import Failure, Rpc, Server

KINDS = ['EIO', 'ENOSPC', 'EINTR', 'EAGAIN', 'ECANCELED', 'short1', 'half']
LIVES = 28
LOAD_SECONDS = 0.2
EXITS = {0: 'goes on', 74: 'ends with 74'}


def environment(build, server, fault):
    return {'LD_PRELOAD': str(pathlib.Path(build).resolve() / 'tests' / 'crash' / 'libfaults.so'), 'HOURGLASS_FAULT': fault,
            'HOURGLASS_FAULT_DIR': str(server.data)}


def exercise(server, account, chance):
    """Load, a snapshot, other definitions; then a clean stop, if it lives that long."""
    clients = life.Life(server, account, chance.randrange(1 << 30))
    try:
        rpc = Rpc(server.admin_path)
        rpc.call('snapshot.start')
        rpc.close()
    except (OSError, Failure):
        pass
    life.await_death(server, LOAD_SECONDS)
    clients.end()


def one_fault(build, server, account, chance, fault):
    """How the daemon took it."""
    try:
        server.start(environment=environment(build, server, fault))
        exercise(server, account, chance)
    except Failure:
        if server.process.poll() is None:
            raise
    if server.process.returncode not in EXITS:
        raise Failure('it ended with %s: %s' % (server.process.returncode, server.stderr()[-600:]))
    how = EXITS[server.process.returncode]
    server.start()
    life.check_life(server, account, fault)
    server.kill()
    return how


def run(build, seed, faults):
    chance, account, ways = random.Random(seed), life.Account(), collections.Counter()
    where = 'seed %d' % seed
    server = Server(build, life.DEFINITIONS, [*life.ARGUMENTS, '--io', 'epoll'])
    failure = None
    try:
        for _ in range(faults):
            kind = chance.choice(KINDS)
            fault = '%d:%s%s' % (int(2 ** chance.uniform(0, 9)), kind, chance.choice(['', ':on']))
            where = 'seed %d, %s' % (seed, fault)
            how = one_fault(build, server, account, chance, fault)
            ways[kind, how if 'fault injected' in server.stderr() else 'not reached'] += 1
            (server.home / 'stderr').write_text('')
        server.start()
        life.last_check(server, account, where)
    except (Failure, OSError) as what:
        failure = '%s: %s' % (where, what)
    finally:
        server.__exit__()
    return ways, failure


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('--faults', type=int, default=280)
    parser.add_argument('--seed', type=int, default=1)
    a = parser.parse_args()
    begun = time.monotonic()
    results = life.run_shares(run, [(a.build, a.seed + at, min(LIVES, a.faults - at)) for at in range(0, a.faults, LIVES)])
    ways = sum((w for w, _ in results), collections.Counter())
    failed = [failure for _, failure in results if failure]
    if not any(how != 'not reached' for _, how in ways):
        failed.append('no fault was injected: nothing was tested')
    for kind in KINDS:
        print('%-10s %s' % (kind, ', '.join('%s: %d' % (how, ways[kind, how]) for how in [*EXITS.values(), 'not reached'])))
    print('%d faults in %.0f s' % (sum(ways.values()), time.monotonic() - begun))
    return life.verdict(len(results), failed)


if __name__ == '__main__':
    sys.exit(main())
