// Sends N Segment messages with a real Forward client, every one of them acknowledged.
// usage: node send.mjs CLIENT MODE PORT COUNT      prints {"acked": n, "failed": n} as its last line
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const [client, mode, port, count] = [process.argv[2], process.argv[3], Number(process.argv[4]), Number(process.argv[5])];
const BATCH = 500;

const message = (i) => ({
  type: 'track', userId: `u${i % 997}`, event: 'Order Completed', messageId: `${client}-${mode}-${i}`,
  properties: { order_id: `o-${i}`, total: i / 100, note: 'спасибо 🎁' },
});

function fluentOrg() {
  const { FluentClient } = require('@fluent-org/logger');
  const logger = new FluentClient('e2e', {
    eventMode: mode, ack: { ackTimeout: 60000 }, milliseconds: true, socket: { host: '127.0.0.1', port, timeout: 60000 },
  });
  return { emit: (m) => logger.emit('org', m), close: () => logger.disconnect() };
}

function fluentLogger() {
  const logger = require('fluent-logger').createFluentSender('e2e', {
    host: '127.0.0.1', port, eventMode: mode, requireAckResponse: true, ackResponseTimeout: 60000, timeout: 60, flushInterval: 5,
  });
  const emit = (m) => new Promise((done, failed) => logger.emit('logger', m, (error) => (error ? failed(error) : done())));
  return { emit, close: () => logger.end() };
}

const { emit, close } = client === 'fluent-org' ? fluentOrg() : fluentLogger();
let acked = 0;
const errors = [];
for (let from = 0; from < count; from += BATCH) {
  const batch = [];
  for (let i = from; i < Math.min(from + BATCH, count); i++) batch.push(emit(message(i)).then(() => acked++, (e) => errors.push(String(e))));
  await Promise.all(batch);
}
await close();
if (errors.length) console.error(errors.slice(0, 5).join('\n'));
console.log(JSON.stringify({ acked, failed: errors.length }));
process.exit(errors.length ? 1 : 0);
