// Relay's runtime with what its compiler made of relay/dashboard.ts.
import { strict as assert } from 'node:assert';
import {
  commitMutation,
  ConnectionHandler,
  createOperationDescriptor,
  Environment,
  fetchQuery,
  getSingularSelector,
  type MutationParameters,
  Network,
  type OperationType,
  RecordSource,
  ROOT_ID,
  type ConcreteRequest,
  type GraphQLTaggedNode,
  Store,
} from 'relay-runtime';
import { ENDPOINT, FIRST, JOBS, SINCE } from './gateway';
import createJob, { type dashboardCreateMutation } from './relay/__generated__/dashboardCreateMutation.graphql';
import deleteJob, { type dashboardDeleteMutation } from './relay/__generated__/dashboardDeleteMutation.graphql';
import nodeQuery, { type dashboardNodeQuery } from './relay/__generated__/dashboardNodeQuery.graphql';
import paginationQuery, {
  type dashboardPaginationQuery,
} from './relay/__generated__/dashboardPaginationQuery.graphql';
import dashboardQuery, { type dashboardQuery as Dashboard } from './relay/__generated__/dashboardQuery.graphql';
import refetchQuery, { type dashboardRefetchQuery } from './relay/__generated__/dashboardRefetchQuery.graphql';
import renameJob, { type dashboardRenameMutation } from './relay/__generated__/dashboardRenameMutation.graphql';
import jobFragment, { type dashboard_job$data } from './relay/__generated__/dashboard_job.graphql';
import jobsFragment, { type dashboard_jobs$data } from './relay/__generated__/dashboard_jobs.graphql';

const environment = new Environment({
  store: new Store(new RecordSource()),
  network: Network.create(async ({ text }, variables) => {
    const response = await fetch(ENDPOINT, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ query: text, variables }),
    });
    return await response.json();
  }),
});

async function ask<Operation extends OperationType>(
  query: GraphQLTaggedNode,
  variables: Operation['variables'],
): Promise<Operation['response']> {
  const answer = await fetchQuery<Operation>(environment, query, variables).toPromise();
  assert(answer);
  return answer;
}

function commit<Mutation extends MutationParameters>(
  mutation: GraphQLTaggedNode,
  variables: Mutation['variables'],
): Promise<Mutation['response']> {
  return new Promise((resolve, reject) => {
    commitMutation<Mutation>(environment, {
      mutation,
      variables,
      onCompleted: (response, errors) => (errors?.length ? reject(errors) : resolve(response)),
      onError: reject,
    });
  });
}

/** What the store holds for a fragment of something read before. */
function read<Data>(fragment: Parameters<typeof getSingularSelector>[0], reference: unknown): Data {
  const selector = getSingularSelector(fragment, reference);
  assert(selector);
  const { data, isMissingData } = environment.lookup(selector);
  assert(!isMissingData);
  return data as Data;
}

const variables = { count: FIRST, since: SINCE };

function shown(): dashboard_jobs$data['jobs'] {
  const operation = createOperationDescriptor(dashboardQuery as ConcreteRequest, variables);
  const { data } = environment.lookup(operation.fragment);
  return read<dashboard_jobs$data>(jobsFragment, data).jobs;
}

function name(index: number): string {
  const edge = shown().edges[index];
  assert(edge);
  return read<dashboard_job$data>(jobFragment, edge.node).description;
}

async function main(): Promise<void> {
  // So that nothing is collected while it is looked at.
  environment.retain(createOperationDescriptor(dashboardQuery as ConcreteRequest, variables));
  const dashboard = await ask<Dashboard>(dashboardQuery, variables);
  const project: string = dashboard.viewer.project;
  assert.equal(project, 'demo');
  assert(dashboard.failed.totalCount > 0 && dashboard.recent.totalCount > 0);
  assert.equal(shown().edges.length, FIRST);
  assert.equal(shown().totalCount, JOBS);

  // @connection: each page is added to the list, by its handler in the store.
  const connection = ConnectionHandler.getConnectionID(ROOT_ID, 'dashboard_jobs', {
    orderBy: [{ field: 'DESCRIPTION' }],
  });
  const pageInfo = () => {
    const record = environment.getStore().getSource().get(connection) as { pageInfo?: { __ref: string } };
    assert(record.pageInfo, `no connection ${connection}`);
    return environment.getStore().getSource().get(record.pageInfo.__ref) as {
      hasNextPage?: boolean;
      endCursor?: string;
    };
  };
  while (pageInfo().hasNextPage) {
    const cursor = pageInfo().endCursor ?? null;
    await ask<dashboardPaginationQuery>(paginationQuery, { count: FIRST, cursor });
  }
  assert.equal(shown().edges.length, JOBS);
  assert.equal(new Set(shown().edges.map(({ node }) => node.id)).size, JOBS);

  // A mutation that returns a job changes it wherever it is shown.
  const id = shown().edges[20]?.node.id;
  assert(id);
  const before = name(20);
  for (const description of ['renamed', before]) {
    await commit<dashboardRenameMutation>(renameJob, { input: { id, description } });
    assert.equal(name(20), description);
  }

  // The list takes in what is created, and lets go of what is deleted.
  const made = await commit<dashboardCreateMutation>(createJob, {
    input: { description: 'of Relay', actions: [] },
    connections: [connection],
  });
  assert(made.createJob);
  assert.equal(shown().edges.length, JOBS + 1);
  assert.equal(name(0), 'of Relay');
  await commit<dashboardDeleteMutation>(deleteJob, {
    input: { id: made.createJob.job.id },
    connections: [connection],
  });
  assert.equal(shown().edges.length, JOBS);

  // node(id:), as it is and as @refetchable uses it.
  const { node } = await ask<dashboardNodeQuery>(nodeQuery, { id });
  assert(node?.job);
  assert.equal(node.__typename, 'Job');
  assert.equal(read<dashboard_job$data>(jobFragment, node.job).description, before);
  const refetched = await ask<dashboardRefetchQuery>(refetchQuery, { id });
  assert(refetched.node);
}

void main();
