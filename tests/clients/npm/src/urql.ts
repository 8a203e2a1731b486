// urql with its normalised cache, Graphcache, which knows the schema and complains of what isn't so.
import { strict as assert } from 'node:assert';
import { Client, fetchExchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import { getIntrospectionQuery, type IntrospectionQuery } from 'graphql';
import { firstPage, ENDPOINT, FIRST, JOBS } from './gateway';
import { unmask } from './gql';
import {
  CreateJobDocument,
  DashboardDocument,
  type DashboardQuery,
  DeleteJobDocument,
  JobRowFragmentDoc,
  RenameJobDocument,
} from './gql/graphql';

async function introspection(): Promise<IntrospectionQuery> {
  const response = await fetch(ENDPOINT, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query: getIntrospectionQuery() }),
  });
  return ((await response.json()) as { data: IntrospectionQuery }).data;
}

function names({ jobs }: DashboardQuery): string[] {
  return jobs.edges.map(({ node }) => unmask(JobRowFragmentDoc, node).description);
}

async function main(): Promise<void> {
  const schema = await introspection();
  const client = new Client({
    url: ENDPOINT,
    preferGetMethod: false,
    exchanges: [
      cacheExchange({
        // Graphcache types its own, narrower idea of an introspection.
        schema: schema as unknown as NonNullable<Parameters<typeof cacheExchange>[0]>['schema'] & object,
        keys: { Viewer: () => null, JobSchedule: () => null },
        resolvers: { Query: { jobs: relayPagination() } },
        updates: {
          Mutation: {
            deleteJob: (_result, { input }, cache) => {
              cache.invalidate({ __typename: 'Job', id: (input as { id: string }).id });
            },
          },
        },
        logger: (severity, message) => {
          assert.notEqual(severity, 'warn', message);
          assert.notEqual(severity, 'error', message);
        },
      }),
      fetchExchange,
    ],
  });

  async function dashboard(after: string | null, from: 'network-only' | 'cache-only'): Promise<DashboardQuery> {
    const asked = client.query(DashboardDocument, { ...firstPage, after }, { requestPolicy: from });
    const { data, error } = await asked;
    assert.equal(error, undefined);
    assert(data, `${from}: nothing after ${after}`);
    return data;
  }

  let page = await dashboard(null, 'network-only');
  assert.equal(names(page).length, FIRST);
  while (page.jobs.pageInfo.hasNextPage) {
    page = await dashboard(page.jobs.pageInfo.endCursor, 'network-only');
  }
  const all = names(page);
  assert.equal(all.length, JOBS);
  assert.equal(new Set(all).size, JOBS);

  const edge = page.jobs.edges[20];
  assert(edge);
  const { id, description } = unmask(JobRowFragmentDoc, edge.node);
  for (const name of ['renamed', description]) {
    const { error } = await client.mutation(RenameJobDocument, { input: { id, description: name } });
    assert.equal(error, undefined);
    // Without a word to the server.
    assert.equal(names(await dashboard(null, 'cache-only'))[20], name);
  }

  const made = await client.mutation(CreateJobDocument, { input: { description: 'of urql', actions: [] } });
  assert(made.data?.createJob);
  const job = unmask(JobRowFragmentDoc, made.data.createJob.job);
  const deleted = await client.mutation(DeleteJobDocument, { input: { id: job.id } });
  assert.equal(deleted.data?.deleteJob?.deletedId, job.id);
}

void main();
