"""What every end-to-end test needs: a server of its own in a scratch directory, and a MessagePack-RPC client.

A server never outlives its test: it dies with this process (PR_SET_PDEATHSIG), and its directory is removed.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import msgpack

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEMO = ROOT / 'tools' / 'demo-data'
MIB = 1 << 20
SHOP = """
events:
  Order Completed: {keep: 365d, properties: {order_id: string, total: number}}
segments:
  buyers: count("Order Completed") > 0
"""


class Failure(AssertionError):
    pass


class NotRun(Exception):
    """Why a test can not be run on this machine."""


def expect(found, wanted, what):
    if found != wanted:
        raise Failure('%s: expected %r, found %r' % (what, wanted, found))


def until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure('waited %d s for this: %s' % (seconds, what))
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Rpc:
    """One connection to the admin socket; method and keys as text."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        self.socket.connect(str(path))
        self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors='surrogateescape')
        self.next_id = 0
        self.notifications = []  # [method, params] that came between answers

    def receive(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise Failure('the server closed the admin connection')
        self.unpacker.feed(data)

    def notification(self):
        while True:  # what a call left unread comes before what is still to be received
            self.notifications += [message[1:] for message in self.unpacker if message[0] == 2]
            if self.notifications:
                return self.notifications.pop(0)
            self.receive()

    def take_notifications(self):
        taken, self.notifications = self.notifications, []
        return taken

    def call(self, method, *params):
        self.next_id += 1
        self.socket.sendall(msgpack.packb([0, self.next_id, method, list(params)]))
        while True:
            for answer in self.unpacker:
                if answer[0] == 2:
                    self.notifications.append(answer[1:])
                elif answer[0] == 1 and answer[1] == self.next_id:
                    if answer[2] is not None:
                        raise Failure('%s: %r' % (method, answer[2]))
                    return answer[3]
            self.receive()

    def close(self):
        self.socket.close()


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Server:
    """with Server(build, definitions='...') as s: ...   Definitions are a text or a directory."""

    def __init__(self, build, definitions=SHOP, arguments=()):
        self.build = pathlib.Path(build)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix='hg-e2e-', dir=os.environ.get('HOURGLASS_TEST_DIR')))
        self.data = self.home / 'data'
        self.port = free_port()
        self.arguments = list(arguments)
        self.definitions = definitions
        self.process = None
        if isinstance(definitions, str):
            self.definitions = self.home / 'definitions'
            self.definitions.mkdir()
            (self.definitions / 'shop.yaml').write_text(definitions, encoding='utf-8')

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *what):
        if self.process and self.process.poll() is None:
            self.end()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def admin_path(self):
        return self.home / 'admin.sock'

    def start(self, *more, environment=None):
        command = [self.build / 'hourglassd', '--data', self.data, '--definitions', self.definitions,
                   '--ingest', 'tcp://127.0.0.1:%d' % self.port, '--admin', 'unix://%s' % self.admin_path, *self.arguments, *more]
        self.errors = open(self.home / 'stderr', 'ab')
        self.process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=self.errors,
                                        preexec_fn=die_with_parent, text=True, env=dict(os.environ, **(environment or {})))
        for line in self.process.stdout:
            if line.startswith('ready'):
                return
        raise Failure('hourglassd ended before it was ready (%s): %s' % (self.process.wait(), self.stderr()[-2000:]))

    def stderr(self):
        return (self.home / 'stderr').read_text(errors='replace')

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        if code != 0:
            raise Failure('hourglassd ended with %s: %s' % (code, self.stderr()[-2000:]))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        """Nobody needs it any more. (What is killed cannot say which lines it reached: tools/coverage asks.)"""
        if os.environ.get('HOURGLASS_COVERAGE'):
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        self.kill()

    def rpc(self):
        return Rpc(self.admin_path)

    def call(self, method, *params):
        rpc = self.rpc()
        try:
            return rpc.call(method, *params)
        finally:
            rpc.close()

    def stats(self):
        return self.call('stats.get')

    def wait_received(self, wanted):
        until(lambda: self.stats()['events']['received'] >= wanted, '%d events' % wanted, 30)
        return self.stats()

    def cli(self, *arguments, check=True):
        environment = dict(os.environ, HOURGLASS_ADMIN='unix://%s' % self.admin_path, HOURGLASS_INGEST='tcp://127.0.0.1:%d' % self.port)
        done = subprocess.run([str(self.build / 'hourglass'), *map(str, arguments)], env=environment, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise Failure('hourglass %s: %s %s' % (' '.join(map(str, arguments)), done.returncode, done.stderr[-2000:]))
        return done


def write_lines(path, messages):
    with open(path, 'w', encoding='utf-8') as file:
        for message in messages:
            file.write(json.dumps(message, ensure_ascii=False) + '\n')
    return path


@contextlib.contextmanager
def scratch():
    home = pathlib.Path(tempfile.mkdtemp(prefix='hg-e2e-', dir=os.environ.get('HOURGLASS_TEST_DIR')))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def small_disk(size):
    """A folder of so many bytes, and no more."""
    with scratch() as folder:
        mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%d' % size, 'hourglass-test', folder], capture_output=True, text=True)
        if mount.returncode != 0:
            raise NotRun('this process may not mount a file system: ' + mount.stderr.strip())
        try:
            yield folder
        finally:
            subprocess.run(['umount', '-l', folder], check=True)
