"""A disk without room: acks stop, the admin socket answers, work goes on when space returns. On a small file system of its own."""
import pathlib
import sys

from harness import MIB, Failure, Server, expect, small_disk, until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'crash'))
import life  # noqa: E402


def test_a_full_disk_stops_acks_and_nothing_else(build):
    with small_disk(32 * MIB) as folder:
        server = Server(build, life.DEFINITIONS, ['--shards', '1', '--log-segment', '4MiB', '--snapshot-every', '0', '--log-keep', 'all'])
        server.data = folder / 'data'
        ballast = folder / 'ballast'
        ballast.write_bytes(bytes(20 * MIB))
        fill_and_free(server, life.Account(), ballast)


def fill_and_free(server, account, ballast):
    with server:
        clients = life.Life(server, account, 1)
        until(lambda: server.stats()['disk']['full'], 'the disk is full')
        until(lambda: not account.await_acks(1, 2), 'acks stop')
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


def test_a_file_of_requests_that_cannot_be_read_is_74_and_a_damaged_one_65(build):
    def start():
        try:
            server.start()
        except Failure:
            return server.process.returncode
        server.stop()
        return 0

    with Server(build) as server:
        server.stop()
        requests = server.data / 'requests'
        requests.mkdir()
        expect((start(), 'requests: Is a directory' in server.stderr()), (74, True), server.stderr())
        requests.rmdir()
        requests.symlink_to('requests')
        expect((start(), 'symbolic links' in server.stderr()), (74, True), server.stderr())
        requests.unlink()
        requests.write_bytes(b'HGrq of another kind')
        expect((start(), 'requests: damaged' in server.stderr()), (65, True), server.stderr())
        requests.unlink()
        expect(start(), 0, 'without it')
