// Relay: subscriptions over a socket, as its network's second function.
import { strict as assert } from 'node:assert';
import { createClient } from 'graphql-ws';
import {
  Environment,
  type GraphQLResponse,
  Network,
  Observable,
  RecordSource,
  requestSubscription,
  Store,
} from 'relay-runtime';
import { ENDPOINT } from './gateway';
import { follows, Inbox } from './others';
import liveJobs, { type liveJobsSubscription } from './relay/__generated__/liveJobsSubscription.graphql';

const sockets = createClient({ url: ENDPOINT.replace(/^http/, 'ws') });
const environment = new Environment({
  store: new Store(new RecordSource()),
  network: Network.create(
    () => assert.fail('nothing is fetched here'),
    ({ text, name }, variables) =>
      Observable.create<GraphQLResponse>((sink) =>
        sockets.subscribe(
          { query: text ?? '', operationName: name, variables },
          { ...sink, next: (result) => sink.next(result as GraphQLResponse), error: (error) => sink.error(error as Error) },
        ),
      ),
  ),
});

async function main(): Promise<void> {
  const name = 'live, by Relay';
  const inbox = new Inbox<liveJobsSubscription['response']>();
  const { dispose } = requestSubscription<liveJobsSubscription>(environment, {
    subscription: liveJobs,
    variables: { search: name },
    onNext: (response) => (response ? inbox.put(response) : inbox.fail('no response')),
    onError: inbox.fail,
  });
  // What Relay's store shows is read-only.
  await follows(name, inbox as unknown as Parameters<typeof follows>[1]);
  dispose();
  await sockets.dispose();
}

void main();
