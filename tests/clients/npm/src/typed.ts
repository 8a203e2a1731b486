// graphql-codegen's client preset: what is asked is what is typed.
import { strict as assert } from 'node:assert';
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { firstPage, ENDPOINT, FIRST, JOBS } from './gateway';
import { unmask } from './gql';
import { DashboardDocument, JobPageDocument, JobRowFragmentDoc, type JobStatus } from './gql/graphql';

/** All of a client that typed documents need. */
async function request<Result, Variables>(
  document: TypedDocumentNode<Result, Variables>,
  variables: Variables,
): Promise<Result> {
  const response = await fetch(ENDPOINT, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query: print(document), variables }),
  });
  const { data, errors } = (await response.json()) as { data: Result; errors?: unknown };
  assert.equal(errors, undefined);
  return data;
}

/** Compiles only if both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

async function main(): Promise<void> {
  const { viewer, jobs, failed, recent } = await request(DashboardDocument, firstPage);
  same<typeof viewer, { project: string; roles: Array<string> }>(true);
  same<typeof jobs.totalCount, number>(true);
  same<typeof jobs.pageInfo.endCursor, string | null>(true);
  assert.equal(viewer.project, 'demo');
  assert.equal(jobs.totalCount, JOBS);
  assert(failed.totalCount > 0 && recent.totalCount > failed.totalCount);

  const rows = jobs.edges.map(({ node }) => unmask(JobRowFragmentDoc, node));
  assert.equal(rows.length, FIRST);
  const [job] = rows.filter(({ backups }) => backups.nodes.length);
  assert(job);
  same<typeof job.status, JobStatus | null>(true);
  same<typeof job.client, { id: string; hostname: string | null; isCentral: boolean } | null>(true);
  const [backup] = job.backups.nodes;
  assert(backup);
  same<typeof backup.compressedSize, number | null>(true);
  same<typeof backup.metadata, unknown>(true);
  // @ts-expect-error a field that wasn't asked for isn't there
  assert.equal(job.userId, undefined);
  // @ts-expect-error nor may a variable be left out
  const { first }: { first: number } = firstPage satisfies { first: string };
  assert.equal(first, FIRST);

  const { node } = await request(JobPageDocument, { id: job.id });
  assert(node?.__typename === 'Job');
  // Only a job has them, and the compiler knows that this is one.
  same<(typeof node.actions.edges)[number]['position'], number>(true);
  assert.equal(node.actions.edges[0]?.position, 0);
  assert.equal(unmask(JobRowFragmentDoc, node).description, job.description);
}

void main();
