"""What real clients once sent, sent again byte for byte: acks come back in the same form, everything is counted."""
import gzip
import json
import socket
from itertools import groupby

import msgpack

import harness
from harness import Server, expect

CAPTURES = harness.ROOT / 'tests' / 'data' / 'captures' / 'captures.jsonl'


def captured(rpc):
    messages = [json.loads(line) for line in CAPTURES.open(encoding='utf-8')]
    return [m for m in messages if m['dir'] == 'C>S' and (m['client'] == 'msgpack-rpc') == rpc]


def decode(data):
    return msgpack.unpackb(data, raw=True, strict_map_key=False)


def entries(frame):
    body = frame[1]
    if isinstance(body, list):
        return len(body)
    if not isinstance(body, bytes):
        return 1
    if body[:2] == b'\x1f\x8b':
        body = gzip.decompress(body)
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
    unpacker.feed(body)
    return sum(1 for _ in unpacker)


def wanted_ack(data, frame):
    """The bytes to come back: the chunk id in the form (str or bin) and with the header it was sent."""
    option = frame[-1] if isinstance(frame[-1], dict) and len(frame) > 2 else {}
    chunk = option.get(b'chunk')
    return None if chunk is None else b'\x81\xa3ack' + msgpack.packb(chunk.decode())


def test_every_captured_frame_is_acked_and_counted(build):
    sent = 0
    with Server(build) as s:
        for case, group in groupby(captured(rpc=False), key=lambda m: (m['client'], m['case'], m['conn'])):
            with socket.create_connection(('127.0.0.1', s.port), timeout=20) as connection:
                for message in group:
                    data = bytes.fromhex(message['hex'])
                    frame = decode(data)
                    if frame[0] == b'PING':  # the answer to a HELO, which a server without a key does not send
                        continue
                    connection.sendall(data)
                    sent += entries(frame)
                    ack = wanted_ack(data, frame)
                    if ack is not None:
                        expect(connection.recv(512), ack, 'ack for %s' % (case,))
        events = s.wait_received(sent)['events']
        expect((events['received'], events['rejected']), (sent, 0), 'received, rejected')
        expect(events['applied'] + events['duplicate'] + events['late'], sent, 'applied + duplicate + late')
        s.stop()


def test_captured_rpc_clients_get_their_answers(build):
    """Method as bin, notifications before requests, unknown methods: an answer to each request and nothing else."""
    with Server(build) as s:
        for _, group in groupby(captured(rpc=True), key=lambda m: (m['case'], m['conn'])):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(20)
                connection.connect(str(s.admin_path))
                unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
                unpacker.feed(b''.join(bytes.fromhex(m['hex']) for m in group))
                for request in unpacker:
                    connection.sendall(msgpack.packb(request))
                    if request[0] == 0:
                        expect(decode(connection.recv(65536))[:2], [1, request[1]], 'answer')
        expect(s.stats()['events']['received'], 0, 'received')
        s.stop()
