// graphql-ws: all operations over one socket.
import { strict as assert } from 'node:assert';
import { print } from 'graphql';
import { createClient } from 'graphql-ws';
import { ENDPOINT } from './gateway';
import {
  ChangesDocument,
  type ChangesSubscription,
  JobsDocument,
  LiveJobsDocument,
  type LiveJobsSubscription,
} from './gql/graphql';
import { create, follows, Inbox, remove } from './others';

const client = createClient({
  url: ENDPOINT.replace(/^http/, 'ws'),
  // A function, so that a socket that is opened again has the token of then.
  connectionParams: () => ({ 'X-Auth-Token': 'a token', 'X-Project-Id': 'demo' }),
});

function subscribe<Data>(query: string, variables: Record<string, unknown>): [Inbox<Data>, () => void] {
  const inbox = new Inbox<Data>();
  const stop = client.subscribe<Data>(
    { query, variables },
    {
      next: ({ data, errors }) => (data && !errors ? inbox.put(data) : inbox.fail(errors)),
      error: inbox.fail,
      complete: () => {},
    },
  );
  return [inbox, stop];
}

async function main(): Promise<void> {
  const name = 'live, by graphql-ws';
  const [live, leave] = subscribe<LiveJobsSubscription>(print(LiveJobsDocument), { search: name });
  await follows(name, live);

  // A query, over the same socket.
  const [asked] = subscribe<{ jobs: { totalCount: number } }>(print(JobsDocument), { search: name });
  assert.equal((await asked.next()).jobs.totalCount, 0);

  const [feed, hangUp] = subscribe<ChangesSubscription>(print(ChangesDocument), {});
  const { cursor } = (await feed.next()).changes;
  hangUp();
  const id = await create(name);
  assert.equal((await live.next()).live.jobs.totalCount, 1);
  const [resumed, end] = subscribe<ChangesSubscription>(print(ChangesDocument), { after: cursor });
  const { isReset, changes } = (await resumed.next()).changes;
  assert.equal(isReset, false);
  assert.deepEqual(
    changes.map(({ operation, node }) => [operation, node?.id]),
    [['CREATED', id]],
  );
  await remove(id);
  end();
  leave();
  await client.dispose();
}

void main();
