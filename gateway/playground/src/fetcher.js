import { getOperationAST, parse } from 'graphql';
import { createClient } from 'graphql-sse';
import { config, endpoint } from './config.js';
import { askWho, currentToken, expire } from './identity.js';
import { session } from './session.js';

/**
 * Headers of one request, the later winning: the bar's, then the tab's Headers pane.
 * Empty values are left out, so that a header that is being typed does no harm.
 */
function headersOf(pane = {}) {
  const headers = new Headers({ Accept: 'application/graphql-response+json, application/json;q=0.9' });
  const known = config.auth === 'keystone' ? { 'X-Auth-Token': currentToken() } : { 'X-Project-Id': session.project };
  for (const [name, value] of [...Object.entries(known), ...Object.entries(pane)]) {
    if (value) {
      headers.set(name, value);
    } else {
      headers.delete(name);
    }
  }
  headers.set('Content-Type', 'application/json');
  return headers;
}

/**
 * Names an operation only if the document has it: GraphiQL learns the names in a document some time after
 * its text, so a quick hand can run one tab with the name from another.
 */
function bodyOf({ query, variables, operationName }) {
  const known = operationName && new RegExp(`\\b${operationName}\\b`).test(query);
  return { query, variables, operationName: known ? operationName : undefined };
}

function isSubscription({ query, operationName }) {
  try {
    return getOperationAST(parse(query), operationName)?.operation === 'subscription';
  } catch {
    return false; // the gateway says what is wrong
  }
}

const refusal = (message) => ({ errors: [{ message, extensions: { code: 'UNAUTHENTICATED' } }] });

/** Sends one operation, as GraphiQL's `fetcher`; whatever comes back is something that one can read. */
export async function fetcher(operation, options = {}) {
  const headers = headersOf(options.headers);
  const shown = headers.get('X-Auth-Token');
  if (config.auth === 'keystone' && !shown) {
    askWho();
    return refusal('Sign in first, or put a token into the Headers pane.');
  }
  const body = bodyOf(operation);
  if (isSubscription(body)) {
    return stream(body, headers, shown);
  }
  const own = shown === currentToken();
  const request = { method: 'POST', headers, body: JSON.stringify(body), cache: 'no-store' };
  let response;
  try {
    response = await fetch(endpoint, request);
  } catch (error) {
    throw new Error(`The gateway at ${location.origin}${endpoint} does not answer: ${error.message}`, { cause: error });
  }
  const text = await response.text();
  if (own && shown !== currentToken()) {
    // It would stand below the name of somebody else, or of another project.
    return refusal('Who is signed in has changed meanwhile. Run it again.');
  }
  if (response.status === 401) {
    expire(shown);
  }
  return parsed(response, text);
}

function parsed(response, text) {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's error page, most likely.
    return { errors: [{ message: `${response.status} ${response.statusText}`.trim(), extensions: { body: text } }] };
  }
}

/** The answers to a subscription, as they come, for GraphiQL to subscribe to. */
function stream(body, headers, shown) {
  headers.delete('Accept');
  const client = createClient({
    url: endpoint,
    headers: Object.fromEntries(headers),
    // A gateway that is started anew ends streams without a word, and is back in a moment.
    retryAttempts: 10,
  });
  return {
    subscribe: ({ next, error, complete }) => ({
      unsubscribe: client.subscribe(body, {
        next: (result) => {
          if (result.errors?.some(({ extensions }) => extensions?.code === 'UNAUTHENTICATED')) {
            expire(shown);
          }
          next(result);
        },
        error: async (failure) => {
          if (failure.response) {
            if (failure.response.status === 401) {
              expire(shown);
            }
            next(parsed(failure.response, await failure.response.text()));
            complete();
          } else {
            error(new Error(`The gateway at ${location.origin}${endpoint} does not answer: ${failure.message}`));
          }
        },
        complete,
      }),
    }),
  };
}
