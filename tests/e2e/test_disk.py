"""A disk without room: acks stop, the admin socket answers, work goes on when space returns. On a small file system of its own."""
import pathlib
import subprocess
import sys
import time

import harness
from harness import Failure, Server, expect

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'crash'))
import life  # noqa: E402

MIB = 1 << 20


def mounted(folder, size):
    """False where this process may not mount."""
    folder.mkdir()
    return subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%d' % size, 'hourglass-test', folder], capture_output=True).returncode == 0


def wait_for(condition, seconds, what):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise Failure('%s: not within %d s' % (what, seconds))
        time.sleep(0.02)


def fill_and_free(build, folder):
    server, account = Server(build, life.DEFINITIONS, ['--shards', '1', '--log-segment', '4MiB', '--snapshot-every', '0', '--log-keep', 'all']), life.Account()
    server.data = folder / 'data'
    ballast = folder / 'ballast'
    ballast.write_bytes(bytes(20 * MIB))
    with server:
        clients = life.Life(server, account, 1)
        wait_for(lambda: server.stats()['disk']['full'], 60, 'the disk is full')
        wait_for(lambda: not account.await_acks(1, 2), 60, 'acks stop')
        expect(server.stats()['disk']['full'], True, 'the admin socket answers')
        before = len(account.acked)
        ballast.unlink()
        if not account.await_acks(1000, 30):
            raise Failure('space returned, acks did not: %d before, %d now' % (before, len(account.acked)))
        server.kill()
        clients.end()
        server.start()
        life.check_life(server, account, 'after the disk was full')
        life.finish(server, account, 'after the disk was full')


def test_a_full_disk_stops_acks_and_nothing_else(build):
    with harness.scratch() as home:
        folder = home / 'small'
        if not mounted(folder, 32 * MIB):
            print('not run: this process may not mount a file system')
            return
        try:
            fill_and_free(build, folder)
        finally:
            subprocess.run(['umount', '-l', folder], check=True)
