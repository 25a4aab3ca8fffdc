"""Sends N Segment messages with python3-fluent-logger (Debian), which knows no acks.
usage: /usr/bin/python3 send.py PORT COUNT"""
import sys
from fluent import sender

port, count = int(sys.argv[1]), int(sys.argv[2])
logger = sender.FluentSender('e2e', host='127.0.0.1', port=port, nanosecond_precision=True, timeout=60.0)
for i in range(count):
    message = {'type': 'track', 'userId': 'u%d' % (i % 997), 'event': 'Order Completed', 'messageId': 'python-%d' % i,
               'properties': {'order_id': 'o-%d' % i, 'total': i / 100}}
    if not logger.emit('python', message):
        sys.exit('not sent: %r' % logger.last_error)
logger.close()
