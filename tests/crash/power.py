#!/usr/bin/python3
"""Power cuts: the daemon on a file system that forgets what was not synced (powerfs.c); then every promise is checked.

usage: tests/crash/power.py BUILD [--cuts N] [--seed N]      ends with `N passed, N failed`

Every LIVES cuts have a file system and a data directory of their own; at the end everything sent is there exactly once, each
action was given and none after its confirmation, and the whole log gives the same state. Last, a daemon that does not sync
(--sync none) must be caught: otherwise nothing was tested. Says why where FUSE is not to be had.
"""
import argparse
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

import life
from harness import Failure, Server, die_with_parent, scratch

LIVES = 25
MOUNT_SECONDS = 10


class Disk:
    """with Disk(build, folder) as disk: what lies in disk.folder is lost by disk.cut(seed) unless it was synced."""

    def __init__(self, build, folder):
        self.program, self.folder = pathlib.Path(build).resolve() / 'tests' / 'crash' / 'powerfs', folder
        folder.mkdir()

    def __enter__(self):
        self.process = subprocess.Popen([self.program, self.folder, '-f', '-s'], stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        until = time.monotonic() + MOUNT_SECONDS
        while not os.path.ismount(self.folder):
            if self.process.poll() is not None or time.monotonic() > until:
                self.process.kill()
                raise Failure('powerfs does not mount: %s' % self.process.stderr.read().strip())
            time.sleep(0.01)
        return self

    def __exit__(self, *what):
        subprocess.run(['umount', '-l', self.folder], check=True)
        self.process.wait(MOUNT_SECONDS)

    def power(self, word):
        with open(self.folder / '.power', 'w') as file:
            file.write(word)

    def cut(self, seed):
        self.power('cut %d' % seed)

    def on(self):
        self.power('on')


def why_not(build):
    """The reason why there is no such file system here, or None."""
    if not (pathlib.Path(build) / 'tests' / 'crash' / 'powerfs').is_file():
        return 'powerfs is not built: libfuse3-dev was missing'
    try:
        os.close(os.open('/dev/fuse', os.O_RDWR))
        with scratch() as home, Disk(build, home / 'disk'):
            return None
    except (OSError, Failure) as why:
        return str(why)


def snapshot(server):
    try:
        server.call('snapshot.start')
    except (OSError, Failure):
        pass  # the cut came first


def one_life(server, disk, account, chance):
    clients = life.Life(server, account, chance.randrange(1 << 30))
    if chance.random() < 0.4:
        threading.Thread(target=snapshot, args=[server], daemon=True).start()
    account.await_acks(chance.choice([1, 20, 100, 300, 1000]), 2)
    time.sleep(0.01 * chance.random())
    disk.cut(chance.randrange(1 << 31))
    server.kill()
    clients.end()
    disk.on()


def run(build, cuts, seed, sync='always'):
    """What was wrong, or None; and the account."""
    chance, account, where = random.Random(seed), life.Account(), 'seed %d' % seed
    arguments = [*life.ARGUMENTS, '--sync', sync, '--io', chance.choice(['uring', 'epoll'])]
    with scratch() as home, Disk(build, home / 'disk') as disk:
        server = Server(build, life.DEFINITIONS, arguments)
        server.data = disk.folder / 'data'
        try:
            server.start()
            for n in range(cuts):
                where = 'seed %d, cut %d' % (seed, n)
                one_life(server, disk, account, chance)
                server.start()
                life.check_life(server, account, where)
            life.last_check(server, account, where)
            return None, account
        except (Failure, OSError) as what:
            return '%s: %s' % (where, what), account
        finally:
            server.__exit__()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('--cuts', type=int, default=50)
    parser.add_argument('--seed', type=int, default=20260301)
    a = parser.parse_args()
    reason = why_not(a.build)
    if reason:
        print('not run: %s\n1 passed, 0 failed' % reason)
        return 0
    begun, results = time.monotonic(), []
    for at in range(0, a.cuts, LIVES):
        wrong, account = run(a.build, min(LIVES, a.cuts - at), a.seed + at)
        results.append(wrong or (None if account.acked else 'seed %d: nothing was acknowledged before a cut' % (a.seed + at)))
        print('seed %d: %d events, %d acknowledged, %d actions confirmed' % (a.seed + at, account.made, len(account.acked), len(account.confirmed)))
    caught, _ = run(a.build, LIVES, a.seed, sync='none')
    print('a daemon that does not sync: %s' % (caught.splitlines()[-1] if caught else 'was not caught'))
    results.append(None if caught else 'a daemon that does not sync was not caught')
    failed = [wrong for wrong in results if wrong]
    print('%d cuts in %.0f s' % (a.cuts, time.monotonic() - begun))
    return life.verdict(len(results), failed)


if __name__ == '__main__':
    sys.exit(main())
