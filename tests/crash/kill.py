#!/usr/bin/python3
"""kill -9 at random moments, by a client that keeps an account of what was promised; then every promise is checked.

usage: tests/crash/kill.py BUILD [--kills N] [--seed N] [--jobs N] [--long]      ends with `N passed, N failed`

Half of the kills come at any moment after the start, half within two milliseconds of an ack. Lives are short and data is
small: many kills matter, not much load. Every LIVES kills the data directory is finished off: everything sent is there
exactly once, each action was given and none after its confirmation, and the whole log gives the same state.
--long: lives of five seconds on four threads, with more senders; and no reader may ever have stopped for want of credit for
messages between threads (ring.credit_exhausted), for nothing would go on without it.
"""
import argparse
import random
import sys
import time

import life
from harness import Failure, Server, expect

LIVES = 50
LIFE_SECONDS = 0.08
LONG_LIVES, LONG_SECONDS, LONG_THREADS, LONG_SENDERS = 5, 5, 4, 6


def kill_at_some_moment(server, account, chance):
    if chance.random() < 0.5:
        time.sleep(LIFE_SECONDS * chance.random())
    else:
        account.await_acks(chance.choice([1, 20, 100, 300]), 1)
        time.sleep(0.002 * chance.random())
    server.kill()


def kill_after_a_while(server, account, chance):
    time.sleep(LONG_SECONDS * chance.uniform(0.8, 1.2))
    exhausted = server.stats()['ring']['credit_exhausted']
    account.await_acks(1, 1)
    time.sleep(0.002 * chance.random())
    server.kill()
    expect(exhausted, 0, 'times that a worker had no credit left')


def run(build, kills, seed, long):
    chance, account = random.Random(seed), life.Account()
    where = 'seed %d' % seed
    arguments = [*life.ARGUMENTS, '--io', chance.choice(['uring', 'epoll'])]
    if long:
        arguments += ['--shards', str(LONG_THREADS)]
    server = Server(build, life.DEFINITIONS, arguments)
    failure = None
    try:
        server.start()
        for n in range(kills):
            where = 'seed %d, kill %d' % (seed, n)
            clients = life.Life(server, account, chance.randrange(1 << 30), LONG_SENDERS if long else 2)
            (kill_after_a_while if long else kill_at_some_moment)(server, account, chance)
            clients.end()
            server.start()
            life.check_life(server, account, where)
        if not account.acked:
            raise Failure('nothing was acknowledged before a kill: nothing was tested')
        life.last_check(server, account, where)
    except (Failure, OSError) as what:
        failure = '%s: %s' % (where, what)
    finally:
        server.__exit__()
    return (account.made, len(account.acked), len(account.confirmed)), failure


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--seed', type=int, default=20260301)
    parser.add_argument('--jobs', type=int, default=life.JOBS)
    parser.add_argument('--long', action='store_true')
    a = parser.parse_args()
    begun = time.monotonic()
    lives = LONG_LIVES if a.long else LIVES
    shares = [(a.build, min(lives, a.kills - at), a.seed + at, a.long) for at in range(0, a.kills, lives)]
    results = life.run_shares(run, shares, a.jobs)
    failed = [failure for _, failure in results if failure]
    print('%d kills in %.0f s; %d events, %d acknowledged, %d actions confirmed' % (
        a.kills, time.monotonic() - begun, *map(sum, zip(*(figures for figures, _ in results)))))
    return life.verdict(len(results), failed)


if __name__ == '__main__':
    sys.exit(main())
