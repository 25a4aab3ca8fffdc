"""Keys, uids, secrets and unsafe configurations: io/SECURITY.md says why each is as it is."""
import hashlib
import os
import pathlib
import socket
import subprocess
import threading
import time

import msgpack

import harness
from harness import ROOT, SHOP, Failure, Server, expect, until

MAIL = SHOP + """
channels:
  email: {consent: not_needed}
journeys:
  thanks:
    state: live
    trigger: {event: Order Completed}
    steps:
      - send: {id: hello, channel: email, template: hello}
"""
KEY = b'tr0ub4dor-marker-key'


def digest(salt, host, nonce, key):
    return hashlib.sha512(salt + host + nonce + key).hexdigest()


def raw(value):
    return value if isinstance(value, bytes) else value.encode()


def key_file(home, text=KEY, mode=0o600, name='key'):
    path = pathlib.Path(home) / name
    path.write_bytes(text + b'\n')
    os.chmod(path, mode)
    return path


def order(user, **more):
    return dict({'type': 'track', 'userId': user, 'event': 'Order Completed', 'properties': {'order_id': '1', 'total': 10},
                 'traits': {'email': user + '@example.org'}, 'messageId': user}, **more)


def send(port, records, chunk='c', first=None):
    """One frame; returns what came back until the ack, or b'' when the peer closed."""
    with socket.create_connection(('127.0.0.1', port), timeout=20) as s:
        if first:
            first(s)
        s.sendall(msgpack.packb(['shop', [[int(time.time()), r] for r in records], {'chunk': chunk}]))
        return s.recv(4096)


# ---- the sink of actions ---------------------------------------------------------------------------------------------------


class Sink:
    """A Forward server in a thread: asks for a key when it has one, confirms every action, remembers them."""

    def __init__(self, key=None, reply=None):
        self.key, self.reply, self.actions, self.greetings = key, reply, [], []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
        nonce, greeted = os.urandom(16), self.key is None
        try:
            if not greeted:
                s.sendall(self.reply if self.reply else msgpack.packb(['HELO', {'nonce': nonce, 'auth': b'', 'keepalive': True}]))
            while True:
                data = s.recv(1 << 16)
                if not data:
                    return
                unpacker.feed(data)
                for message in unpacker:
                    if greeted:
                        self.actions.append(message[1][0][1])
                        s.sendall(msgpack.packb({'ack': message[2][b'chunk'].decode()}))
                        continue
                    self.greetings.append(message)
                    _, host, salt, found, _, _ = message
                    good = found.decode() == digest(salt, host, nonce, self.key)
                    s.sendall(msgpack.packb(['PONG', good, '' if good else 'shared_key mismatch', 'sink', digest(salt, b'sink', nonce, self.key)]))
                    greeted = good
        except OSError:
            pass

    def close(self):
        self.listener.close()


def pending(s):
    return s.stats()['outbox']['pending']


def test_actions_go_to_a_sink_with_and_without_a_key(build):
    for key in (None, KEY):
        sink = Sink(key)
        with harness.scratch() as home:
            more = ['--emit-key-file', key_file(home)] if key else []
            with Server(build, MAIL, ['--emit', 'tcp://127.0.0.1:%d' % sink.port, *more]) as s:
                send(s.port, [order('u%d' % i) for i in range(50)])
                until(lambda: len(sink.actions) >= 50, 'fifty actions at the sink')
                until(lambda: pending(s) == 0, 'all confirmed')
                expect(len({a[b'action_id'] for a in sink.actions}), 50, 'different actions')
                expect(len(sink.greetings), 1 if key else 0, 'greetings')
                s.stop()
        sink.close()


def test_a_sink_that_does_not_prove_the_key_gets_nothing(build):
    """Another key, no handshake at all, floods and shapes that are none: actions wait, ingest goes on."""
    replies = (None, b'\x92\xa4HELO\x81\xa5nonce\xc6\xff\xff\xff\xff' + bytes(2000), b'HTTP/1.1 400 Bad Request\r\n\r\n',
               b'\xdd\xff\xff\xff\xff' * 1000, msgpack.packb(['HELO', {'nonce': b'n' * 16, 'auth': b'salt'}]),
               msgpack.packb(['PONG', True, '', 'sink', 'f' * 128]), msgpack.packb(['HELO', {'nonce': b'n' * 16}]) * 2, b'\x91' * 100000)
    sinks = [Sink(b'another key', reply) for reply in replies]
    emits = [text for sink in sinks for text in ('--emit', 'tcp://127.0.0.1:%d' % sink.port)]
    with harness.scratch() as home, Server(build, MAIL, [*emits, '--emit-key-file', key_file(home)]) as s:
        send(s.port, [order('u1')])
        for n in range(len(sinks)):
            name = 'sink=emit%s ' % (n + 1 if n else '')
            until(lambda: 'event=emit_down ' + name in s.stderr(), 'the drop of %s(%r)' % (name, replies[n]))
        expect([sink.actions for sink in sinks], [[]] * len(sinks), 'actions given away')
        expect('event=emit_up' in s.stderr(), False, 'a sink counts as up')
        expect(pending(s), 1, 'pending actions')
        expect(send(s.port, [order('u2')], 'd'), msgpack.packb({'ack': 'd'}), 'ingest goes on')
        s.stop()
    for sink in sinks:
        sink.close()


# ---- the ingest socket ------------------------------------------------------------------------------------------------------


def greet(key, host=b'client', tamper=lambda ping: ping):
    def run(s):
        unpacker = msgpack.Unpacker(raw=True)
        unpacker.feed(s.recv(4096))
        helo = unpacker.unpack()
        nonce, salt = helo[1][b'nonce'], os.urandom(16)
        s.sendall(msgpack.packb(tamper(['PING', host, salt, digest(salt, host, nonce, key), '', ''])))
        unpacker.feed(s.recv(4096))
        pong = unpacker.unpack()
        if pong[1] and pong[4].decode() != digest(salt, pong[3], nonce, key):
            raise Failure('the server did not prove the key')
        return pong
    return run


def test_nothing_is_applied_before_the_key_was_proven(build):
    with harness.scratch() as home, Server(build, SHOP, ['--shared-key-file', key_file(home)]) as s:
        expect(send(s.port, [order('good')], first=greet(KEY)), msgpack.packb({'ack': 'c'}), 'the right key')
        for what, first in (('another key', greet(b'wrong')), ('no greeting', None), ('an empty key', greet(b'')),
                            ('a digest in capitals', greet(KEY, tamper=lambda p: p[:3] + [p[3].upper()] + p[4:])),
                            ('another host', greet(KEY, tamper=lambda p: [p[0], b'other'] + p[2:])),
                            ('seven items', greet(KEY, tamper=lambda p: p + ['']))):
            try:
                answer = send(s.port, [order('bad')], first=first)
            except (OSError, msgpack.exceptions.OutOfData):
                answer = b''
            if b'ack' in answer:
                raise Failure('%s: acknowledged' % what)
        expect(s.stats()['events']['received'], 1, 'events received')
        s.stop()


# ---- what must not start ----------------------------------------------------------------------------------------------------


def refused(build, home, code, *arguments, environment=None):
    data = home / 'data'
    command = [str(build / 'hourglassd'), '--data', str(data), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=dict(os.environ, **(environment or {})))
    expect(done.returncode, code, 'exit code of %s (%s)' % (command[3:], done.stderr.strip()))
    expect(data.exists(), False, 'the data directory exists after %s' % command[3:])
    return done.stderr


def test_unsafe_or_wrong_configurations_do_not_start(build):
    with harness.scratch() as home:
        good = key_file(home)
        link = home / 'link'
        link.symlink_to(good)
        fifo = home / 'fifo'
        os.mkfifo(fifo, 0o600)
        here = ['--ingest', 'tcp://127.0.0.1:0']
        for option in ('--shared-key-file', '--emit-key-file'):
            for key in (key_file(home, mode=0o640, name='a'), key_file(home, mode=0o604, name='b'), key_file(home, b'', name='c'), link, fifo, home,
                        key_file(home, b'k' * 5000, name='d')):
                refused(build, home, 78, *here, option, key)
        refused(build, home, 78, '--ingest', 'tcp://0.0.0.0:0')
        refused(build, home, 78, '--ingest', 'tcp://[::]:0')
        refused(build, home, 78, *here, '--emit', 'tcp://192.0.2.1:24224')
        for flag, value in (('memory-limit', '-5'), ('memory-limit', '5x'), ('memory-limit', '0x10'), ('memory-limit', ''), ('outbox-limit', '9' * 30),
                            ('snapshot-every', 'x'), ('shards', '65'), ('shards', '-1'), ('sync', 'maybe'), ('erase-within', '5y'),
                            ('erase-within', '-1s'), ('erase-within', '99999999999d'), ('log-keep', 'some')):
            said = refused(build, home, 2, *here, '--' + flag, value)
            if flag not in said or 'is not' not in said:
                raise Failure('--%s %s: %s' % (flag, value, said))
            refused(build, home, 78, *here, environment={'HOURGLASS_' + flag.upper().replace('-', '_'): value})
        refused(build, home, 78, *here, environment={'HOURGLASS_ACCEPT_CLOCK': 'perhaps'})
        for size in ('1000000', '2GiB', '1TiB'):
            refused(build, home, 78, *here, '--log-segment', size)
        for text in ('ingest: {a: b}', 'no-such-name: 1', 'memory-limit: -5', ':\x01', '- a\n- b'):
            (home / 'config').write_text(text)
            refused(build, home, 78, *here, '--config', home / 'config')
        refused(build, home, 78, *here, '--config', home / 'missing')


# ---- the admin socket ---------------------------------------------------------------------------------------------------------


def test_the_admin_socket_is_for_our_own_uid(build):
    with Server(build) as s:
        expect(oct(os.stat(s.admin_path).st_mode & 0o777), oct(0o660), 'mode of the socket')
        expect(oct(os.stat(s.data).st_mode & 0o777), oct(0o700), 'mode of the data directory')
        for path in s.data.rglob('*'):
            if os.stat(path).st_mode & 0o077 and not path.is_socket():
                raise Failure('%s can be read by others' % path)
        if os.geteuid() != 0:
            print('        (not root: another uid cannot be tried)')
            return
        os.chmod(s.home, 0o755)
        os.chmod(s.admin_path, 0o666)
        code = ("import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1]);"
                "s.sendall(bytes.fromhex('940001a97379732e68656c6c6f90')); sys.exit(len(s.recv(100)))")
        done = subprocess.run(['/usr/bin/python3', '-c', code, str(s.admin_path)], capture_output=True, text=True, timeout=30)
        if done.returncode != 0 and 'Error' not in done.stderr:
            raise Failure('uid 65534 was answered')
        until(lambda: 'event=admin_refused reason=uid' in s.stderr(), 'the refusal in the log')
        s.stop()


def test_file_descriptors_sent_along_are_not_kept(build):
    with Server(build) as s, socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(s.admin_path))
        peer.sendall(msgpack.packb([0, 1, 'sys.hello', []]))
        peer.recv(1 << 16)
        before = len(os.listdir('/proc/%d/fd' % s.process.pid))
        for _ in range(20):
            socket.send_fds(peer, [msgpack.packb([2, 'ignored', []])], [0, 1, 2])
        peer.sendall(msgpack.packb([0, 2, 'sys.hello', []]))
        if not peer.recv(4096):
            raise Failure('no answer')
        expect(len(os.listdir('/proc/%d/fd' % s.process.pid)), before, 'open files of the server')
        s.stop()


# ---- secrets and hostile bytes in logs and arguments ------------------------------------------------------------------------------


def test_no_payload_and_no_key_is_ever_logged_and_hostile_bytes_are_escaped(build):
    marker, hostile = 'marker-7f3a9', '\x1b[31m\nts=forged level=info event=forged\u202e'
    with harness.scratch() as home, Server(build, MAIL, ['--shared-key-file', key_file(home)]) as s:
        records = [order(marker), order(marker, event=marker), order('x' * 300 + marker), order('a' + hostile), order(marker, properties={marker: marker}),
                   {'type': marker}, {marker: marker}, order(marker, event=hostile), order(marker, userId=None), 'not a map ' + marker]
        expect(send(s.port, records, 'c', greet(KEY)), msgpack.packb({'ack': 'c'}), 'ack')
        for frame in (msgpack.packb([marker + hostile, marker]), ('GET /%s HTTP/1.1\r\n\r\n' % marker).encode(),
                      msgpack.packb(['t', [[0, {}]], {'chunk': marker * 20}])):
            with socket.create_connection(('127.0.0.1', s.port), timeout=20) as c:
                greet(KEY)(c)
                c.sendall(frame + msgpack.packb(['t', [], {'chunk': 'end'}]))
                c.recv(100)  # that chunk's ack, or the end
        try:
            send(s.port, [], first=greet(KEY + marker.encode(), host=(marker + hostile).encode()))
        except (OSError, msgpack.exceptions.OutOfData):
            pass
        rpc = s.rpc()
        for method, params in ((marker + hostile, []), ('profile.get', [marker]), ('query.count', [marker + hostile]),
                               ('definitions.apply', [{'files': {marker + hostile: marker}}]), ('journey.show', [hostile + marker])):
            try:
                rpc.call(method, *params)
            except Failure:
                pass
        s.process.send_signal(1)  # HUP
        s.stop()
        said = s.stderr()
        for bad in (marker, KEY.decode(), '\x1b', '\u202e', 'event=forged'):
            if bad in said:
                raise Failure('%r is in the log: %s' % (bad, [line for line in said.splitlines() if bad in line][:3]))
        if 'connection_closed' not in said:
            raise Failure('nothing was logged: nothing was tested')


# ---- systemd ------------------------------------------------------------------------------------------------------------------------


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(build):
    with harness.scratch() as home, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(home / 'notify'))
        notify.settimeout(30)
        os.environ['NOTIFY_SOCKET'] = str(home / 'notify')
        os.environ['WATCHDOG_USEC'] = '60000000'
        try:
            with Server(build) as s:
                until(lambda: notify.recv(1000) == b'READY=1', 'readiness')
                until(lambda: notify.recv(1000) == b'WATCHDOG=1', 'a sign of life')
                s.stop()
            until(lambda: notify.recv(1000) == b'STOPPING=1', 'the last notification')
        finally:
            del os.environ['NOTIFY_SOCKET'], os.environ['WATCHDOG_USEC']


def test_the_programs_are_hardened(build):
    if not (build / 'build.ninja').exists() or '-D_FORTIFY_SOURCE=2' not in (build / 'build.ninja').read_text():
        print('        (not an optimised build)')
        return
    for program in ('hourglassd', 'hourglass'):
        said = subprocess.run(['readelf', '-dlsW', str(build / program)], capture_output=True, text=True, check=True).stdout
        for wanted in ('NOW PIE', 'GNU_RELRO', '__stack_chk_fail', '__snprintf_chk'):
            if wanted not in said:
                raise Failure('%s: no %s' % (program, wanted))
        stack = next(line for line in said.splitlines() if 'GNU_STACK' in line)
        expect('RWE' in stack, False, '%s: the stack may be executed' % program)


def test_the_unit_file_is_hardened(build):
    unit = (ROOT / 'tools' / 'hourglassd.service').read_text()
    for line in ('Type=notify', 'NoNewPrivileges=yes', 'CapabilityBoundingSet=', 'ProtectSystem=strict', 'PrivateDevices=yes', 'LimitCORE=0',
                 'UMask=0077', 'RestartPreventExitStatus=65 74 78', 'SystemCallArchitectures=native', 'MemoryDenyWriteExecute=yes'):
        if line not in unit.splitlines():
            raise Failure('%s is missing' % line)
    with harness.scratch() as home:
        (home / 'hourglassd.service').write_text(unit)
        done = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--threshold=20', str(home / 'hourglassd.service')],
                              capture_output=True, text=True) if pathlib.Path('/usr/bin/systemd-analyze').exists() else None
        if done is None:
            print('        (no systemd-analyze here: the exposure was not measured)')
        elif done.returncode != 0:
            raise Failure('exposed: %s' % done.stdout[-2000:])


# ---- HUP ------------------------------------------------------------------------------------------------------------------------------


def test_definitions_that_others_may_write_or_that_are_links_are_refused(build):
    with Server(build) as s:
        before, file = s.stats()['definitions']['version'], s.definitions / 'shop.yaml'
        for n, spoil in enumerate((lambda: os.chmod(file, 0o666), lambda: (os.rename(file, s.home / 'x.yaml'), file.symlink_to(s.home / 'x.yaml')))):
            spoil()
            s.process.send_signal(1)
            until(lambda: s.stderr().count('event=reload') == n + 1, 'refusal %d' % n)
        expect(s.stats()['definitions']['version'], before, 'version')
        s.stop()


def test_hup_loads_a_good_set_and_keeps_the_old_one_when_the_new_one_is_wrong(build):
    with Server(build) as s:
        file = s.definitions / 'shop.yaml'
        version = lambda: s.stats()['definitions']['version']  # noqa: E731
        before = version()
        file.write_text(SHOP + '  two: count("Order Completed") > 1\n')
        s.process.send_signal(1)
        until(lambda: version() == before + 1, 'the new set')
        expect(send(s.port, [order('a'), order('a', messageId='b')]), msgpack.packb({'ack': 'c'}), 'ack')
        until(lambda: s.stats()['segments'].get('two') == 1, 'the new segment')
        file.write_text(SHOP + '  three: count("No Such Event" > 1\n')
        s.process.send_signal(1)
        until(lambda: 'event=reload' in s.stderr(), 'the refusal')
        expect(version(), before + 1, 'version after a bad set')
        s.process.send_signal(1)
        file.unlink()
        until(lambda: s.process.poll() is None and s.stats()['definitions']['version'] == before + 1, 'it lives')
        s.stop()
