"""Bad input and overload against the running daemon: tests/BADINPUT.md lists which row is tested where.

Every input is sent whole, byte by byte, and cut at every byte: the answer is the same or the connection just ends, nobody
else notices, and memory stays within its cap.
"""
import gzip
import itertools
import os
import random
import resource
import select
import socket
import struct
import time

import msgpack

from harness import SHOP, Failure, Server, expect, until

CLOSE, PARK, ACK = 'closed', 'parked', 'acked'
NOW = int(time.time())
MEBI = 1 << 20


def resident_at_most(s, most):
    """The peak, as the kernel has it. A sanitizer keeps what was freed, so that its memory says nothing."""
    if 'HG_ASAN:BOOL=ON' in (s.build / 'CMakeCache.txt').read_text():
        print('        (memory is not looked at under a sanitizer)')
        return
    with open('/proc/%d/status' % s.process.pid) as status:
        peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM:'))
    if peak > most:
        raise Failure('%d MiB resident, %d allowed' % (peak / MEBI, most / MEBI))


def dial(s, timeout=30):
    return socket.create_connection(('127.0.0.1', s.port), timeout=timeout)


def order(user, **more):
    return dict({'type': 'track', 'userId': user, 'event': 'Order Completed', 'properties': {'order_id': '1', 'total': 10}, 'messageId': user}, **more)


def frame(entries, chunk='c', tag='shop'):
    return msgpack.packb([tag, entries, {'chunk': chunk}])


def entry(record, at=NOW):
    return [at, record]


def raw_frame(record, at=b'\xce' + struct.pack('>I', NOW), tag=b'\xa4shop', option=b'\x81\xa5chunk\xa1c'):
    """One entry, its parts as bytes."""
    return b'\x93' + tag + b'\x91\x92' + at + record + option


def packed(entries, **option):
    return msgpack.packb(['shop', entries, dict({'chunk': 'c'}, **option)])


def deep(levels, kind):
    return {'array': b'\x91' * levels + b'\x01', 'map': b'\x81\xa1k' * levels + b'\x01', 'mixed': b'\x81\xa1k\x91' * (levels // 2) + b'\x01'}[kind]


def with_property(bytes_of_value):
    """A good order with a total of these bytes."""
    return (b'\x84\xa4type\xa5track\xa6userId\xa1u\xa5event\xafOrder Completed\xaaproperties\x81\xa5total' + bytes_of_value)


ONE = msgpack.packb(entry(order('p')))
BOMB = gzip.compress(bytes(64 * MEBI))

# (what, bytes, answer); PARK: one record is rejected and the chunk acknowledged all the same.
ROWS = [
    ('lead byte c1', b'\xc1', CLOSE),
    ('c1 inside of a frame', b'\x93\xa1t\x90\xc1', CLOSE),
    ('root is a map', b'\x81\xa1a\x01', CLOSE),
    ('[]', b'\x90', CLOSE), ('[tag]', b'\x91\xa1t', CLOSE), ('[tag, true]', b'\x92\xa1t\xc3', CLOSE), ('[tag, int]', b'\x92\xa1t\x05', CLOSE),
    ('five items', b'\x95\xa1t\x90\x80\x01\x01', CLOSE),
    ('HTTP', b'GET / HTTP/1.1\r\n\r\n', CLOSE), ('JSON', b'{"a": 1}', CLOSE), ('TLS hello', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc', CLOSE),
    ('array32 of 2^32-1', b'\xdd\xff\xff\xff\xff', CLOSE), ('entries array32 of 2^32-1', b'\x93\xa1t\xdd\xff\xff\xff\xff', CLOSE),
    ('map32 of 2^32-1', b'\x93\xa1t\x91\x92\x01\xdf\xff\xff\xff\xff', CLOSE), ('map32 of 2^31', b'\x93\xa1t\x91\x92\x01\xdf\x80\x00\x00\x00', CLOSE),
    ('str32 of 4 GiB', b'\x93\xdb\xff\xff\xff\xff', CLOSE), ('bin32 of 4 GiB', b'\x93\xa1t\xc6\xff\xff\xff\xff', CLOSE),
    ('ext32 of 4 GiB', b'\x93\xa1t\xc9\xff\xff\xff\xff\x00', CLOSE), ('a frame above the cap', b'\x93\xa1t\xc6' + struct.pack('>I', 9 * MEBI), CLOSE),
    ('trailing byte in packed entries', packed(ONE + b'\x92'), CLOSE), ('packed entries cut', packed(ONE + ONE[:-1]), CLOSE),
    ('c1 in packed entries', packed(ONE + b'\xc1'), CLOSE),
    ('chunk not text', msgpack.packb(['t', [], {'chunk': 5}]), CLOSE), ('chunk empty', frame([], ''), CLOSE), ('chunk of 65 bytes', frame([], 'x' * 65), CLOSE),
    ('option not a map', msgpack.packb(['t', [], 'option']), CLOSE),
    ('gzip: not gzip', packed(b'hello', compressed='gzip'), CLOSE), ('gzip: cut', packed(gzip.compress(ONE)[:-4], compressed='gzip'), CLOSE),
    ('gzip: bad CRC', packed(gzip.compress(ONE)[:-8] + bytes(8), compressed='gzip'), CLOSE),
    ('gzip: bomb', packed(BOMB, compressed='gzip'), CLOSE), ('gzip: many members', packed(gzip.compress(bytes(20000)) * 1500, compressed='gzip'), CLOSE),
    ('gzip: nested', packed(gzip.compress(gzip.compress(ONE)), compressed='gzip'), CLOSE),
    ('zstd', packed(ONE, compressed='zstd'), CLOSE), ('unknown compression', packed(ONE, compressed='brotli'), CLOSE),
    ('gzip in Forward mode', msgpack.packb(['t', [entry(order('z'))], {'compressed': 'gzip', 'chunk': 'c'}]), CLOSE),

    ('tag not text', raw_frame(with_property(b'\x01'), tag=b'\x05'), PARK), ('tag empty', frame([entry(order('t'))], tag=''), PARK),
    ('tag too long', frame([entry(order('t'))], tag='t' * 256), PARK), ('tag ../', frame([entry(order('t'))], tag='../../etc/passwd'), PARK),
    ('tag with newline', frame([entry(order('t'))], tag='a\nb'), PARK),
    ('entry not [time, map]', frame([7]), PARK), ('record nil', frame([entry(None)]), PARK), ('record a list', frame([entry([1])]), PARK),
    ('33 arrays', raw_frame(with_property(deep(33, 'array'))), PARK), ('33 maps', raw_frame(with_property(deep(33, 'map'))), PARK),
    ('mixed depth', raw_frame(with_property(deep(40, 'mixed'))), PARK),
    ('100,000 levels', raw_frame(b'\x82\xa4type\xa5track\xa1x' + deep(100000, 'array')), PARK),
    ('257 keys', frame([entry(order('k', properties={'k%d' % i: i for i in range(257)}))]), PARK),
    ('10,000 keys', frame([entry({('k%d' % i): 1 for i in range(10000)})]), PARK),
    ('key twice', raw_frame(b'\x83\xa4type\xa5track\xa6userId\xa1a\xa6userId\xa1b'), PARK),
    ('key not text', raw_frame(b'\x82\xa4type\xa5track\x05\x06'), PARK), ('key of 257 bytes', frame([entry(order('k', **{'k' * 257: 1}))]), PARK),
    ('bad UTF-8 in the id', raw_frame(b'\x83\xa4type\xa5track\xa6userId\xa2\xff\xfe\xa5event\xa1e'), PARK),
    ('NUL in the id', frame([entry(order('a\0b'))]), PARK), ('ESC in the id', frame([entry(order('a\x1bb'))]), PARK),
    ('U+202E in the id', frame([entry(order('a\u202eb'))]), PARK), ('an id of 64 KiB', frame([entry(order('i' * 65536))]), PARK),
    ('NaN', raw_frame(with_property(b'\xcb\x7f\xf8\0\0\0\0\0\0')), PARK), ('+Inf', raw_frame(with_property(b'\xca\x7f\x80\0\0')), PARK),
    ('a record above 32 KB', frame([entry(order('l', properties={'x': 'y' * 40000}))]), PARK),
    ('EventTime of 7 bytes', raw_frame(with_property(b'\x01'), at=b'\xc7\x07\x00' + bytes(7)), PARK),
    ('EventTime with 10^9 ns', raw_frame(with_property(b'\x01'), at=b'\xd7\x00' + struct.pack('>II', NOW, 10**9)), PARK),
    ('unknown ext as time', raw_frame(with_property(b'\x01'), at=b'\xd4\x55\x00'), PARK),
    ('negative time', raw_frame(with_property(b'\x01'), at=b'\xff'), PARK),

    ('-0', frame([entry(order('n0', properties={'total': -0.0}))]), ACK), ('2^64-1', frame([entry(order('n1', properties={'total': 2**64 - 1}))]), ACK),
    ('non-minimal integers', raw_frame(with_property(b'\xd3\0\0\0\0\0\0\0\x05'), at=b'\xcf\0\0\0\0' + struct.pack('>I', NOW)), ACK),
    ('a lying size', packed(ONE, size=-5), ACK), ('a huge size', packed(ONE, size=2**63), ACK),
    ('far future', frame([entry(order('f1'), NOW + 10**8)]), ACK), ('long ago', frame([entry(order('f2'), 1)]), ACK), ('time 0', frame([entry(order('f3'), 0)]), ACK),
    ('heartbeat before', b'\xc0\xc0' + frame([entry(order('h'))]), ACK), ('the same chunk again', frame([entry(order('h'))]) * 2, ACK),
    ('empty chunk', frame([]), ACK),
]


def answer_to(s, data, step=None, chunk=b'c'):
    """What comes back for these bytes: an ack, or the end of the connection."""
    with dial(s) as c:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for at in range(0, len(data), step or len(data)):
                c.sendall(data[at:at + (step or len(data))])
            if not (found := c.recv(100)):
                return CLOSE
        except (ConnectionResetError, BrokenPipeError):
            return CLOSE
    expect(found[:5] + found[6:6 + len(chunk)], b'\x81\xa3ack' + chunk, 'the answer')
    return ACK


def events(s):
    e = s.stats()['events']
    expect(e['received'], e['applied'] + e['rejected'] + e['duplicate'] + e['late'], 'received is the sum of its parts')
    return e


def test_every_bad_input_has_its_answer_whole_and_byte_by_byte(build):
    with Server(build, SHOP) as s, dial(s) as bystander:
        for what, data, answer in ROWS:
            for step in [None] + ([1] if len(data) < 2000 else [4093]):
                before = events(s)
                expect(answer_to(s, data, step), CLOSE if answer == CLOSE else ACK, '%s, in steps of %s' % (what, step))
                after = events(s)
                expect(after['rejected'] - before['rejected'], 1 if answer == PARK else 0, '%s: rejected' % what)
                if answer == CLOSE:
                    expect(after['received'], before['received'], '%s: received' % what)
        bystander.sendall(frame([entry(order('bystander'))], 'b'))
        expect(bystander.recv(100), msgpack.packb({'ack': 'b'}), 'another connection')
        resident_at_most(s, 100 * MEBI)
        s.stop()


def test_an_input_cut_at_any_byte_leaves_nothing_behind(build):
    """Each row of up to 400 bytes ends after every one of its bytes; then the same row whole still has its answer."""
    with Server(build, SHOP) as s:
        cuts = 0
        for what, data, answer in ROWS:
            if len(data) > 400 or what in ('heartbeat before', 'the same chunk again'):
                continue  # their halves are whole messages
            before = events(s)['received']
            for cut in range(1, len(data)):
                with dial(s) as c:
                    c.sendall(data[:cut])
                cuts += 1
            expect(answer_to(s, data), CLOSE if answer == CLOSE else ACK, what)
            more = events(s)['received'] - before
            expect(more, 0 if answer == CLOSE or what == 'empty chunk' else 1, '%s: events of its halves' % what)
        until(lambda: s.stats()['ingest']['connections'] == 0, 'all connections gone')
        if cuts < 1500:
            raise Failure('only %d cuts' % cuts)
        s.stop()


def test_resets_in_the_middle_of_a_frame_leave_nothing_behind(build):
    """Five hundred peers, one behind the other, gone without a word at any byte, some with an ack on its way to them."""
    chance, whole = random.Random(1), frame([entry(order('reset'))])
    with Server(build, SHOP, ['--shards', '2']) as s:
        for n in range(500):
            with dial(s) as c:
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))  # close() sends RST
                c.sendall(whole + whole[:chance.randrange(len(whole))] if n % 2 else whole[:chance.randrange(1, len(whole))])
        until(lambda: s.stats()['ingest']['connections'] == 0, 'all are gone')
        expect(answer_to(s, frame([entry(order('after'))])), ACK, 'afterwards')
        expect(s.call('profile.get', 'after')['events']['Order Completed']['count'], 1, 'orders of who came afterwards')
        s.stop()


# ---- the admin socket -------------------------------------------------------------------------------------------------------


def admin(s, data, wanted):
    with socket.socket(socket.AF_UNIX) as c:
        c.settimeout(30)
        c.connect(str(s.admin_path))
        unpacker, answer = msgpack.Unpacker(strict_map_key=False), None
        try:
            c.sendall(data)
            while answer is None and (found := c.recv(1 << 16)):
                unpacker.feed(found)
                answer = next(iter(unpacker), None)
        except (ConnectionResetError, BrokenPipeError):
            pass
        expect(answer is not None, wanted, 'an answer to %r' % data[:40])
        return answer


def test_bad_admin_requests_are_errors_or_closed(build):
    def request(*items):
        return msgpack.packb(list(items))
    hello = request(0, 1, 'sys.hello', [])
    with Server(build, SHOP) as s:
        for data in (b'\xc1', b'\x90', b'\x05', b'\xa1x', request(0), request(1, 1, None, None), request(0, -1, 'sys.hello', []), request(0, 'a', 'sys.hello', []),
                     request(0, 1, 5, []), request(0, 1, 'sys.hello', {}), request(0, 1, 'sys.hello', [], 5), request(9, 1, 'sys.hello', []),
                     b'\xdd\xff\xff\xff\xff', b'\x94\x00\x01\xdb\xff\xff\xff\xff' + bytes(2 * MEBI), b'\x91' * 100000, b'GET / HTTP/1.1\r\n\r\n',
                     request(0, 1, 'x' * (2 * MEBI), [])):
            admin(s, data, False)
        for data in (request(0, 1, 'no.such', []), request(0, 1, '', []), request(0, 1, 'a\x1b\nb', []), request(0, 1, 'profile.get', [5]),
                     request(0, 1, 'profile.get', [{'id': None}]), request(0, 1, 'segment.members', [{'name': 'buyers', 'limit': 2**63}]),
                     request(0, 1, 'segment.members', [{'name': 'buyers', 'limit': -1}]), request(0, 1, 'segment.members', ['buyers', 'no cursor']),
                     request(0, 1, 'query.count', ['(' * 5000]), request(0, 1, 'definitions.apply', [{'files': {'a.yaml': 'a' * 500000}}]),
                     request(0, 1, 'definitions.apply', [{'files': {'../a.yaml': ''}}]), request(0, 1, 'profile.export', [{'limit': 2**64 - 1, 'after': 'x' * 999}])):
            answer = admin(s, data, True)
            if answer[2] is None and answer[3] is None:
                raise Failure('%r: neither an error nor a result' % data[:60])
        for cut in range(1, len(hello)):  # a request cut anywhere has no effect
            with socket.socket(socket.AF_UNIX) as c:
                c.connect(str(s.admin_path))
                c.sendall(hello[:cut])
        expect(admin(s, hello, True)[2], None, 'afterwards')
        s.stop()


def test_a_thousand_admin_connections_are_at_most_sixty_four(build):
    with Server(build, SHOP) as s:
        many, served = [], 0
        for _ in range(1000):
            c = socket.socket(socket.AF_UNIX)
            c.settimeout(30)
            c.connect(str(s.admin_path))
            many.append(c)
        for c in many:
            try:
                c.sendall(msgpack.packb([0, 1, 'sys.hello', []]))
                served += bool(c.recv(100))
            except (ConnectionResetError, BrokenPipeError):
                pass
        expect(served, 64, 'connections served')
        for c in many:
            c.close()
        until(lambda: s.stats()['uptime_s'] >= 0, 'a place is free again')
        s.stop()


def test_who_does_not_read_a_tail_or_an_answer_stops_nobody(build):
    with Server(build, SHOP) as s:
        lazy = [s.rpc() for _ in range(3)]
        lazy[0].call('events.tail', 'events')
        lazy[1].call('events.tail', 'transitions')
        for n in range(4000):  # answers that nobody reads: the connection is read no further
            try:
                lazy[2].socket.settimeout(0.2)
                lazy[2].socket.sendall(msgpack.packb([0, n, 'sys.hello', []]))
            except TimeoutError:
                break
        with dial(s) as c:
            for n in range(60):
                c.sendall(frame([entry(order('t%d' % i, messageId='%d-%d' % (n, i), properties={'order_id': 'x' * 2000})) for i in range(200)]))
                expect(c.recv(100), msgpack.packb({'ack': 'c'}), 'ack %d' % n)
        expect(events(s)['applied'], 12000, 'applied')
        resident_at_most(s, 200 * MEBI)
        s.stop()


# ---- overload -------------------------------------------------------------------------------------------------------------


def test_a_client_that_never_reads_its_acks_costs_a_bounded_buffer(build):
    with Server(build, SHOP) as s, dial(s) as lazy:
        lazy.settimeout(1)
        chunk = frame([], 'x' * 64) * 500
        try:
            for _ in range(2000):
                lazy.sendall(chunk)
                if s.stats()['ingest']['acks_dropped']:
                    break
        except TimeoutError:
            pass
        if not s.stats()['ingest']['acks_dropped']:
            raise Failure('a million acks went nowhere')
        expect(answer_to(s, frame([entry(order('other'))])), ACK, 'another client')
        resident_at_most(s, 200 * MEBI)
        s.stop()


def test_half_frames_of_many_peers_stay_below_their_cap(build):
    """300 peers with seven of eight MiB each: 2 GiB if they were all kept."""
    half = b'\x93\xa1t\xc6' + struct.pack('>I', 8 * MEBI - 100) + bytes(7 * MEBI)
    with Server(build, SHOP, ['--shards', '2']) as s:
        peers = []
        for _ in range(300):
            c = dial(s)
            peers.append(c)
            try:
                c.sendall(half)
            except (ConnectionResetError, BrokenPipeError):
                pass
        until(lambda: s.stats()['ingest']['closed'].get('buffers_full', 0) >= 200, 'most are closed')
        expect(answer_to(s, frame([entry(order('other'))])), ACK, 'another client')
        resident_at_most(s, 900 * MEBI)
        for c in peers:
            c.close()
        until(lambda: s.stats()['ingest']['connections'] == 0, 'all gone')
        s.stop()


def test_ten_thousand_connections_are_served_and_the_next_is_refused(build):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10000, hard - 200)
    if count < 10000:
        print('        (the limit of open files is %d: with %d connections only)' % (hard, count))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with Server(build, SHOP) as s:
            peers = [dial(s) for _ in range(count)]
            until(lambda: s.stats()['ingest']['connections'] == count, 'all connected')
            for c in peers[::97]:
                c.sendall(frame([entry(order('many'))]))
                expect(c.recv(100), msgpack.packb({'ack': 'c'}), 'ack')
            for c in peers:
                c.sendall(frame([])[:-1])  # all of them hold half a frame
            if count == 10000:
                with dial(s) as late:
                    expect(late.recv(1), b'', 'the one above')
            resident_at_most(s, 400 * MEBI)
            for c in peers:
                c.close()
            until(lambda: s.stats()['ingest']['connections'] == 0, 'all gone')
            expect(answer_to(s, frame([entry(order('after'))])), ACK, 'afterwards')
            s.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_flood_of_strangers_stops_at_the_memory_limit_and_known_people_go_on(build):
    limit = 64 * MEBI
    with Server(build, SHOP, ['--memory-limit', str(limit)]) as s, dial(s) as c:
        expect(answer_to(s, frame([entry(order('known'))])), ACK, 'a known one before')
        n, rejected = 0, 0
        while not rejected:
            entries = [entry({'type': 'track', 'anonymousId': 'stranger-%d' % (n + i), 'event': 'Order Completed', 'messageId': str(n + i)}) for i in range(5000)]
            c.sendall(frame(entries))
            expect(c.recv(100), msgpack.packb({'ack': 'c'}), 'ack')
            n += 5000
            rejected = events(s)['rejected']
            if n > 2000000:
                raise Failure('two million strangers fit into 64 MiB')
        expect(answer_to(s, frame([entry(order('known', messageId='again'))])), ACK, 'a known one')
        after = events(s)
        expect(after['applied'] + after['rejected'], n + 2, 'applied and rejected')
        expect(s.call('profile.get', 'known')['events']['Order Completed']['count'], 2, 'orders of the known one')
        resident_at_most(s, limit + 32 * MEBI)
        s.stop()


def test_rings_that_fill_up_slow_down_and_never_lock(build):
    """Merges of everybody with everybody's thread, records of 20 KB, eight senders: every chunk is acknowledged."""
    chance = random.Random(1)
    with Server(build, SHOP, ['--shards', '4', '--log-segment', '4MiB']) as s:
        peers = [dial(s, timeout=120) for _ in range(8)]
        filler = {'order_id': 'x' * 200, 'blob': os.urandom(10000).hex()}
        for round_ in range(6):
            for p, c in enumerate(peers):
                entries = []
                for i in range(60):
                    n = '%d-%d-%d' % (round_, p, i)
                    entries.append(entry({'type': 'track', 'userId': 'u%d' % chance.randrange(2000), 'anonymousId': 'a' + n, 'event': 'Order Completed',
                                          'messageId': n, 'properties': filler}))
                c.sendall(frame(entries))
            for c in peers:
                expect(c.recv(100), msgpack.packb({'ack': 'c'}), 'ack')
        expect(events(s)['received'], 6 * 8 * 60, 'received')
        expect(s.stats()['identity']['pending'], 0, 'merges that wait')
        for c in peers:
            c.close()
        s.stop()


for overload in (test_half_frames_of_many_peers_stay_below_their_cap, test_ten_thousand_connections_are_served_and_the_next_is_refused,
                 test_a_flood_of_strangers_stops_at_the_memory_limit_and_known_people_go_on, test_rings_that_fill_up_slow_down_and_never_lock):
    overload.group = 'overload'


def hello_to(s):
    c = socket.socket(socket.AF_UNIX)
    c.settimeout(20)
    c.connect(str(s.admin_path))
    c.sendall(msgpack.packb([0, 1, 'sys.hello', []]))
    return c


def test_without_file_descriptors_nobody_new_is_served_and_afterwards_everybody(build):
    """On the ingest and on the admin socket. (An accept that io_uring has begun keeps the limit of its beginning.)"""
    for io in ('epoll', 'uring'):
        with Server(build, SHOP, ['--io', io, '--shards', 1]) as s:
            pid, there = s.process.pid, s.rpc()
            expect(there.call('sys.hello')['version'] != '', True, 'served')
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            used = {int(name) for name in os.listdir('/proc/%d/fd' % pid)}
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (next(n for n in itertools.count() if n not in used), before[1]))
            waiting = [dial(s) for _ in range(5)]
            for n, c in enumerate(waiting):
                c.sendall(frame([entry(order('u%d' % n))], 'c%d' % n))
            waiting += [hello_to(s) for _ in range(5)]
            if io == 'epoll':
                expect(select.select(waiting, [], [], 0.3)[0], [], 'who comes while there are none waits')
            expect(there.call('sys.hello')['version'] != '', True, 'who is there is served')
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            for c in waiting:
                expect(c.recv(100)[:1] in (b'\x81', b'\x94'), True, 'an ack or an answer')
                c.close()
            there.close()
            s.stop()
