// Apollo Client: subscriptions over a socket. A live answer is a Query, so that the cache takes it for
// one: what watches the same fields is told by itself.
import { strict as assert } from 'node:assert';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import { ENDPOINT } from './gateway';
import { JobsDocument, LiveJobsDocument, type LiveJobsSubscription } from './gql/graphql';
import { follows, Inbox } from './others';

const sockets = createClient({ url: ENDPOINT.replace(/^http/, 'ws') });
const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(sockets),
    new HttpLink({ uri: ENDPOINT }),
  ),
});

async function main(): Promise<void> {
  const name = 'live, by Apollo Client';
  const variables = { search: name };
  const watched = new Inbox<number>();
  const watching = client.watchQuery({ query: JobsDocument, variables }).subscribe(({ data, dataState }) => {
    if (dataState === 'complete') {
      watched.put(data.jobs.totalCount);
    }
  });
  const inbox = new Inbox<LiveJobsSubscription>();
  const subscription = client.subscribe({ query: LiveJobsDocument, variables }).subscribe({
    next: ({ data, error }) => (data && !error ? inbox.put(data) : inbox.fail(error)),
    error: inbox.fail,
  });
  await follows(name, inbox);
  for (const count of [0, 1, 0]) {
    assert.equal(await watched.next(), count);
  }
  subscription.unsubscribe();
  watching.unsubscribe();
  client.stop();
  await sockets.dispose();
}

void main();
