// urql: subscriptions by server-sent events, into Graphcache, which takes a live answer for a Query.
import { strict as assert } from 'node:assert';
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { createClient } from 'graphql-sse';
import { ENDPOINT } from './gateway';
import { JobsDocument, LiveJobsDocument, type LiveJobsSubscription } from './gql/graphql';
import { follows, Inbox } from './others';

const streams = createClient({ url: ENDPOINT });
const client = new Client({
  url: ENDPOINT,
  preferGetMethod: false,
  exchanges: [
    cacheExchange(),
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: ({ query, variables }) => ({
        subscribe: (sink) => ({
          unsubscribe: streams.subscribe(
            { query: query ?? '', variables: variables ?? {} },
            { ...sink, next: (result) => sink.next(result as Parameters<typeof sink.next>[0]) },
          ),
        }),
      }),
    }),
  ],
});

async function main(): Promise<void> {
  const name = 'live, by urql';
  const variables = { search: name };
  const watched: number[] = [];
  const watching = client.query(JobsDocument, variables).subscribe(({ data }) => {
    if (data) {
      watched.push(data.jobs.totalCount);
    }
  });
  const inbox = new Inbox<LiveJobsSubscription>();
  const subscription = client.subscription(LiveJobsDocument, variables).subscribe(({ data, error }) => {
    if (data && !error) {
      inbox.put(data);
    } else {
      inbox.fail(error);
    }
  });
  await follows(name, inbox);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(watched.at(-1), 0);
  assert(watched.includes(1));
  subscription.unsubscribe();
  watching.unsubscribe();
}

void main();
