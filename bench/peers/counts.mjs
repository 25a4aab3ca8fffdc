// Ad-hoc counts over profiles in DuckDB, in memory, one thread: the same five conditions and the same fifty segments that
// hourglass-scan asks (bench/scan.c). usage: node counts.mjs ROWS RUNS; prints one line of JSON.
// The city is an enum, which is the fastest that DuckDB has for it.
import { DuckDBInstance } from '@duckdb/node-api';

const [rows, runs] = process.argv.slice(2).map(Number);
const database = await DuckDBInstance.create(':memory:', { threads: '1' });
const connection = await database.connect();
const ask = async (sql) => Number((await connection.runAndReadAll(sql)).getRows()[0][0]);

await connection.run(`create type city as enum (select case i when 0 then 'Kazan' when 1 then 'Omsk' when 2 then 'Tver' else 'City ' || i end from range(200) r(i))`);
await connection.run(`create type plan as enum ('free', 'pro', 'team')`);
// Uniform and independent, one value in ten missing, as bench/scan.c makes its people.
const some = (salt, value) => `case when hash(i * ${salt}) % 10 > 0 then ${value} end`;
await connection.run(`create table profile as select
  (${some(7, `case hash(i) % 200 when 0 then 'Kazan' when 1 then 'Omsk' when 2 then 'Tver' else 'City ' || (hash(i) % 200) end`)})::city as city,
  (${some(11, `case hash(i * 5 + 2) % 3 when 0 then 'free' when 1 then 'pro' else 'team' end`)})::plan as plan,
  (${some(13, `hash(i * 3 + 1) % 90`)})::utinyint as age,
  (${some(17, `hash(i * 11 + 3) % 5000`)})::double as spent,
  (${some(19, `hash(i * 13 + 4) % 2`)})::boolean as subscribed
  from range(${rows}) r(i)`);

const five = `select count(*) from profile where city in ('Kazan', 'Omsk', 'Tver') and plan <> 'free' and age >= 30 and spent > 500.0 and subscribed`;
const fifty = Array.from({ length: 50 }, (_, i) =>
  `select count(*) from profile where city = '${i < 3 ? ['Kazan', 'Omsk', 'Tver'][i] : 'City ' + i}' and age >= ${18 + i} and spent > ${10 * i} and subscribed`);

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
