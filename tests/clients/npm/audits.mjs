// graphql-http's audits of GraphQL over HTTP: every one must be ok, those that MAY as well.
import { strict as assert } from 'node:assert';
import { serverAudits } from 'graphql-http';

const AUDITS = 61;

const url = `${process.env.GATEWAY_URL}/graphql`;
const results = [];
for (const audit of serverAudits({ url, fetchFn: fetch })) {
  results.push(await audit.fn());
}
const others = results.filter(({ status }) => status !== 'ok');
assert.deepEqual(
  others.map(({ id, name, status, reason }) => `${status}: ${name} (${id}): ${reason}`),
  [],
);
assert.equal(results.length, AUDITS);
console.log(`${results.length} audits are ok`);
