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
  return JSON.stringify({ query, variables, operationName: known ? operationName : undefined });
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
  const own = shown === currentToken();
  const request = { method: 'POST', headers, body: bodyOf(operation), cache: 'no-store' };
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
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's error page, most likely.
    return { errors: [{ message: `${response.status} ${response.statusText}`.trim(), extensions: { body: text } }] };
  }
}
