// Ad-hoc counts over profiles in DuckDB, in memory, one thread: the same five conditions and the same fifty segments that
// hourglass-count asks (bench/count.c). usage: node counts.mjs ROWS RUNS; prints one line of JSON.
// The city is an enum, which is the fastest that DuckDB has for it.
import { DuckDBInstance } from '@duckdb/node-api';

const [rows, runs] = process.argv.slice(2).map(Number);
const database = await DuckDBInstance.create(':memory:', { threads: '1' });
const connection = await database.connect();
const ask = async (sql) => Number((await connection.runAndReadAll(sql)).getRows()[0][0]);

await connection.run(`create type city as enum (select 'City ' || i from range(200) r(i))`);
await connection.run(`create table profile as select
  ('City ' || (case when hash(i) % 100 < 12 then 0 else 1 + hash(i) // 100 % 199 end))::city as city,
  (1700000000 - (hash(i * 3 + 1) % 31536000))::integer as last_order,
  (hash(i * 5 + 2) % 12)::utinyint as orders,
  ((hash(i * 11 + 3) % 5000000) / 100.0)::double as spent,
  hash(i * 13 + 4) % 10 < 7 as subscribed
  from range(${rows}) r(i)`);

const five = `select count(*) from profile where city = 'City 0' and last_order < 1697000000 and orders >= 3 and subscribed and spent > 10000`;
const fifty = Array.from({ length: 50 }, (_, i) =>
  `select count(*) from profile where city = 'City ${i}' and orders >= ${i % 10} and spent > ${1000 * (i % 25)} and last_order < ${1697000000 - i * 86400}`);

async function milliseconds(queries) {
  const spent = [];
  for (let run = 0; run <= runs; run++) {
    const began = performance.now();
    for (const sql of queries) await ask(sql);
    if (run > 0) spent.push(performance.now() - began); // the first one warms up
  }
  return spent.sort((a, b) => a - b);
}
const brief = (ms) => ({ min: ms[0], median: ms[ms.length >> 1], max: ms[ms.length - 1] });
console.log(JSON.stringify({ rows, five_ms: brief(await milliseconds([five])), fifty_ms: brief(await milliseconds(fifty)), five_count: await ask(five) }));
