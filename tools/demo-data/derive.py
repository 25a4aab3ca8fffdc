#!/usr/bin/env python3
"""Derives orders.ndjson.gz from the Online Retail invoice lines: one Segment message per invoice, no product lines.

usage: derive.py online_retail.csv.gz orders.ndjson.gz

The input is the data set as CSV (columns InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice,
CustomerID, Country) in time order, see README.md for where it comes from. The output is the same byte for byte on
every run. An invoice is a run of lines with equal number, minute and customer; the first invoice of a customer is
preceded by an `identify`. Totals keep the three decimals of the source; those of refunds are negative there and stay so.
"""
import csv
import gzip
import itertools
import json
import sys
from decimal import Decimal

# What must come out; a different input is noticed here and not in the middle of a demonstration.
EXPECTED = {'messages': 30315, 'identify': 4372, 'Order Completed': 22106, 'Order Refunded': 3837,
            'net': Decimal('9747747.934')}


def invoices(path):
    with gzip.open(path, 'rt', encoding='utf-8', newline='') as file:
        rows = csv.DictReader(file)
        for _, lines in itertools.groupby(rows, key=lambda r: (r['InvoiceNo'], r['InvoiceDate'], r['CustomerID'])):
            lines = list(lines)
            total = sum(Decimal(r['UnitPrice']) * int(float(r['Quantity'])) for r in lines)
            yield lines[0], total


def messages(path):
    known = set()
    for row, total in invoices(path):
        number, user = row['InvoiceNo'], row['CustomerID']
        at = row['InvoiceDate'].replace(' ', 'T') + '.000Z'
        if user and user not in known:
            known.add(user)
            yield {'type': 'identify', 'userId': user, 'traits': {'country': row['Country']},
                   'messageId': 'or-id-' + user, 'timestamp': at}
        who = {'userId': user} if user else {'anonymousId': 'anon-' + number}
        name = 'Order Refunded' if number.startswith('C') else 'Order Completed'
        properties = {'order_id': number, 'country': row['Country'], 'currency': 'GBP', 'total': float(total)}
        yield {'type': 'track', **who, 'event': name, 'properties': properties,
               'messageId': 'or-%s-%s' % (number, row['InvoiceDate'][11:16]), 'timestamp': at}


def main(source, target):
    found = {'messages': 0, 'net': Decimal(0)}
    with open(target, 'wb') as raw, gzip.GzipFile('', 'wb', 9, raw, mtime=0) as out:
        for message in messages(source):
            kind = message.get('event', message['type'])
            found['messages'] += 1
            found[kind] = found.get(kind, 0) + 1
            found['net'] += Decimal(str(message.get('properties', {}).get('total', 0)))
            out.write(json.dumps(message, ensure_ascii=False, separators=(',', ':')).encode() + b'\n')
    print(', '.join('%s %s' % item for item in sorted(found.items())))
    if found != EXPECTED:
        sys.exit('derive.py: expected %s' % EXPECTED)


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
