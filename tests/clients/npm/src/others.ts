// What a subscription waits for: changes that another client makes, and the messages they bring.
import { strict as assert } from 'node:assert';
import { ENDPOINT } from './gateway';

const PATIENCE = 60_000; // milliseconds

async function mutate(query: string, input: object): Promise<any> {
  const response = await fetch(ENDPOINT, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query, variables: { input } }),
  });
  const { data, errors } = (await response.json()) as { data: unknown; errors?: unknown };
  assert.equal(errors, undefined);
  return data;
}

/** Creates a job with no client's cache knowing of it; returns its id. */
export async function create(description: string): Promise<string> {
  const query = 'mutation ($input: CreateJobInput!) { createJob(input: $input) { job { id } } }';
  return (await mutate(query, { description, actions: [] })).createJob.job.id;
}

export async function remove(id: string): Promise<void> {
  await mutate('mutation ($input: DeleteInput!) { deleteJob(input: $input) { deletedId } }', { id });
}

/** Messages in the order that they came. */
export class Inbox<Message> {
  private readonly waiting: Message[] = [];
  private wake: () => void = () => {};
  private failure: unknown;

  readonly put = (message: Message): void => {
    this.waiting.push(message);
    this.wake();
  };

  readonly fail = (error: unknown): void => {
    this.failure = error;
    this.wake();
  };

  async next(): Promise<Message> {
    const patience = setTimeout(() => this.fail(new Error('no message came')), PATIENCE);
    while (!this.waiting.length && this.failure === undefined) {
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    clearTimeout(patience);
    if (!this.waiting.length) {
      throw this.failure;
    }
    return this.waiting.shift() as Message;
  }
}

interface Shown {
  live: { jobs: { totalCount: number; nodes: { id: string; description: string }[] } };
}

/** Sees to it that a live list of the jobs of this name follows what another client does. */
export async function follows(name: string, inbox: Inbox<Shown>): Promise<void> {
  assert.deepEqual((await inbox.next()).live.jobs.nodes, []);
  const id = await create(name);
  const { totalCount, nodes } = (await inbox.next()).live.jobs;
  assert.equal(totalCount, 1);
  assert.deepEqual(
    nodes.map((node) => [node.id, node.description]),
    [[id, name]],
  );
  await remove(id);
  assert.equal((await inbox.next()).live.jobs.totalCount, 0);
}
