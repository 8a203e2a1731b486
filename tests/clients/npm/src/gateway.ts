// What every script knows of the gateway: where it is, and the constants of its sample data.
import { strict as assert } from 'node:assert';
import type { DashboardQueryVariables } from './gql/graphql';

const url = process.env['GATEWAY_URL'];
assert(url, 'GATEWAY_URL says where the gateway is');

export const ENDPOINT = `${url}/graphql`;
export const JOBS = 60;
/** A page that leaves a rest: 60 = 2 × 25 + 10. */
export const FIRST = 25;
export const SINCE = '2001-01-01T00:00:00Z';
export const firstPage: DashboardQueryVariables = { first: FIRST, since: SINCE };
