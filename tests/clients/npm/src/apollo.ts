// Apollo Client: pages are merged by relayStylePagination, what is written is found by its id.
import { strict as assert } from 'node:assert';
import { setImmediate } from 'node:timers/promises';
import { ApolloClient, HttpLink, InMemoryCache } from '@apollo/client';
import { relayStylePagination } from '@apollo/client/utilities';
import { firstPage, ENDPOINT, FIRST, JOBS } from './gateway';
import { unmask } from './gql';
import {
  CreateJobDocument,
  DashboardDocument,
  type DashboardQuery,
  DeleteJobDocument,
  JobPageDocument,
  JobRowFragmentDoc,
  RenameJobDocument,
} from './gql/graphql';

// Apollo complains on the console of what it couldn't store or had to throw away.
const complaints: unknown[] = [];
console.warn = console.error = (...message) => complaints.push(message);

const connection = relayStylePagination(['where', 'orderBy', 'search', 'allProjects']);
const cache = new InMemoryCache({
  possibleTypes: { Node: ['Action', 'Backup', 'Client', 'Job', 'Session'] },
  typePolicies: {
    Query: { fields: { jobs: connection, backups: connection } },
    // A part of its job, with no id of its own.
    JobSchedule: { merge: true },
  },
});
const client = new ApolloClient({ cache, link: new HttpLink({ uri: ENDPOINT }) });

function names({ jobs }: DashboardQuery): string[] {
  return jobs.edges.map(({ node }) => unmask(JobRowFragmentDoc, node).description);
}

const PATIENCE = 30_000; // milliseconds

/** A change of the cache is told to those who watch it soon, but not at once. */
async function told(isTold: () => boolean): Promise<void> {
  const patientUntil = Date.now() + PATIENCE;
  while (!isTold()) {
    assert(Date.now() < patientUntil, 'the change was never told');
    await setImmediate();
  }
}

async function main(): Promise<void> {
  const dashboard = client.watchQuery({ query: DashboardDocument, variables: firstPage });
  const seen: DashboardQuery[] = [];
  dashboard.subscribe(({ data, dataState }) => {
    if (dataState === 'complete') {
      seen.push(data);
    }
  });
  const shown = (): DashboardQuery => {
    const last = seen.at(-1);
    assert(last);
    return last;
  };

  const { data } = await dashboard.refetch();
  assert(data);
  assert.equal(names(data).length, FIRST);

  // Page after page, until there is none.
  while (shown().jobs.pageInfo.hasNextPage) {
    const { endCursor } = shown().jobs.pageInfo;
    await dashboard.fetchMore({ variables: { after: endCursor } });
    await told(() => shown().jobs.pageInfo.endCursor !== endCursor);
  }
  assert.equal(names(shown()).length, JOBS);
  assert.equal(new Set(names(shown())).size, JOBS);
  assert.equal(shown().jobs.totalCount, JOBS);

  // A mutation returns the job with its id, and so changes the list that shows it.
  const edge = shown().jobs.edges[20];
  assert(edge);
  const { id, description } = unmask(JobRowFragmentDoc, edge.node);
  for (const name of ['renamed', description]) {
    await client.mutate({ mutation: RenameJobDocument, variables: { input: { id, description: name } } });
    await told(() => names(shown())[20] === name);
  }

  // The same job by way of node(id:) is the same object in the cache.
  await client.query({ query: JobPageDocument, variables: { id } });
  const entries = Object.keys(cache.extract());
  assert.equal(entries.filter((key) => key.startsWith('Job:')).length, JOBS);
  assert(entries.includes(`Job:${id}`));

  // What a deletion returns is what must be taken out.
  const made = await client.mutate({
    mutation: CreateJobDocument,
    variables: { input: { description: 'of Apollo', actions: [] } },
  });
  assert(made.data?.createJob);
  const job = unmask(JobRowFragmentDoc, made.data.createJob.job);
  const deleted = await client.mutate({
    mutation: DeleteJobDocument,
    variables: { input: { id: job.id } },
  });
  assert.equal(deleted.data?.deleteJob?.deletedId, job.id);
  assert(cache.evict({ id: `Job:${job.id}` }));
  dashboard.stop();
  assert.deepEqual(complaints, []);
}

void main();
