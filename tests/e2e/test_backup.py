"""A backup of a server under load is a consistent cut: it has all that was acknowledged before the call, and its logs fit together."""
import os
import pathlib
import shutil
import sys

import harness
from harness import Failure, Server, expect

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'crash'))
import life  # noqa: E402

ARGUMENTS = ['--log-segment', '1MiB', '--snapshot-every', '0', '--log-keep', 'all']


def files_below(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


def promised(account):
    """What the account holds now, as an account of its own."""
    kept = life.Account()
    with account.lock:
        kept.acked, kept.actions, kept.confirmed = set(account.acked), dict(account.actions), set(account.confirmed)
    return kept


def backup_under_load(server, account, to):
    """A few, one after the other, while clients write; what had been promised when the last one was asked for. Actions are
    confirmed in a life before: what is confirmed while a backup is made may be in it or not."""
    clients = life.Life(server, account, 1)
    account.await_acks(1000, 30)
    server.kill()
    clients.end()
    server.start()
    senders = [life.Sender(server.port, account, n) for n in range(2)]
    for sender in senders:
        sender.start()
    server.cli('snapshot')
    for n in range(3):
        account.await_acks(500, 30)
        before = promised(account)
        server.cli('backup', to / str(n))
    if not account.await_acks(500, 30):
        raise Failure('nothing is acknowledged any more after a backup')
    server.kill()
    for sender in senders:
        sender.stopping = True
        sender.join(30)
    before.made, before.chunks = account.made, account.chunks
    return before


def check_backup(build, threads):
    account = life.Account()
    with harness.scratch() as home, Server(build, life.DEFINITIONS, ARGUMENTS + ['--shards', str(threads)]) as server:
        before = backup_under_load(server, account, home)
        backup = home / '2'
        expect(sorted(p.name for p in home.iterdir()), ['0', '1', '2'], 'folders')
        expect(max(p.stat().st_nlink for p in (backup / 'snapshot').rglob('*.hgs')) > 1, True, 'the snapshot is linked')
        found = files_below(backup)
        server.data = home / 'data'
        server.cli('restore', backup, server.data)
        expect(files_below(backup), found, 'the backup after it was restored')
        server.start()
        life.check_life(server, before, 'restored, %d threads' % threads)
        life.last_check(server, before, 'restored, %d threads' % threads)


def test_a_backup_under_load_has_all_that_was_acknowledged_before(build):
    for threads in (1, 4):
        check_backup(build, threads)


def spoil(path, what):
    """A bit of the last group before the end, or the whole file."""
    if what == 'lost':
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    data[len(data) - 4096 - 4096 + 70] ^= 1
    path.write_bytes(bytes(data))


def test_a_spoiled_backup_is_not_restored(build):
    with harness.scratch() as home, Server(build, harness.SHOP, ['--shards', '2']) as server:
        life.send_all(server.port, life.Account(), {'c': [1, 2, 3, 4, 5, 6]})
        server.cli('backup', home / 'good')
        for what in ('a bit', 'lost'):
            for log in sorted((home / 'good' / 'log').iterdir()):
                bad = home / 'bad'
                shutil.copytree(home / 'good', bad)
                spoil(bad / 'log' / log.name, what)
                done = server.cli('restore', bad, home / 'data', check=False)
                expect((done.returncode, sorted(os.listdir(home))), (65, ['bad', 'good']), '%s of %s: %s' % (what, log.name, done.stderr))
                shutil.rmtree(bad)
        expect(server.cli('restore', home / 'good', home / 'data').returncode, 0, 'the good one')


def test_what_is_there_is_not_overwritten(build):
    with harness.scratch() as home, Server(build) as server:
        (home / 'mine').mkdir()
        (home / 'mine' / 'letter').write_text('dear')
        expect(server.cli('backup', home / 'mine', check=False).returncode, 1, 'into a folder with a file')
        server.cli('backup', home / 'backup')
        expect(server.cli('backup', home / 'backup', check=False).returncode, 1, 'again')
        expect(server.cli('restore', home / 'backup', home / 'mine', check=False).returncode, 65, 'onto a folder with a file')
        expect(server.cli('restore', home / 'mine', home / 'data', check=False).returncode, 65, 'of something else')
        expect(sorted(os.listdir(home)), ['backup', 'mine'], 'what is there')
