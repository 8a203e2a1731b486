// graphql-sse: a stream for each operation, and a feed that goes on where it was.
import { strict as assert } from 'node:assert';
import { print } from 'graphql';
import { createClient } from 'graphql-sse';
import { ENDPOINT } from './gateway';
import { ChangesDocument, type ChangesSubscription, LiveJobsDocument, type LiveJobsSubscription } from './gql/graphql';
import { create, follows, Inbox, remove } from './others';

let lastEventId = '';
const client = createClient({
  url: ENDPOINT,
  headers: (): Record<string, string> => (lastEventId ? { 'Last-Event-ID': lastEventId } : {}),
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
  const name = 'live, by graphql-sse';
  const [live, leave] = subscribe<LiveJobsSubscription>(print(LiveJobsDocument), { search: name });
  await follows(name, live);
  leave();

  const [feed, hangUp] = subscribe<ChangesSubscription>(print(ChangesDocument), {});
  const first = (await feed.next()).changes;
  assert(first.isReset);
  hangUp();
  // What happens while nobody listens is told afterwards.
  const id = await create(name);
  lastEventId = first.cursor;
  const [resumed, end] = subscribe<ChangesSubscription>(print(ChangesDocument), {});
  const { isReset, changes } = (await resumed.next()).changes;
  assert.equal(isReset, false);
  assert.deepEqual(
    changes.map(({ operation, node }) => [operation, node?.id]),
    [['CREATED', id]],
  );
  await remove(id);
  assert.deepEqual(
    (await resumed.next()).changes.changes.map(({ operation, node }) => [operation, node]),
    [['DELETED', null]],
  );
  end();
}

void main();
