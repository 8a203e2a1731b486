import { useSyncExternalStore } from 'react';
import { config, endpoint } from './config.js';

/**
 * Who is signed in, and in which project. It stays in this variable: what a browser stores, the next person at it
 * can read, and addresses end up in logs.
 *
 * @typedef {object} Identity
 * @property {string} token what requests show
 * @property {string} root the token that gets tokens for other projects
 * @property {boolean} issued whether the tokens were made for this page; others are not its to revoke
 * @property {string} expiresAt
 * @property {{name: string, domain: string}} user
 * @property {{id: string, name: string, domain: string} | null} project
 * @property {string[]} roles those in the project
 * @property {{id: string, name: string, domainId: string}[]} projects where else the user may go
 *
 * @typedef {object} Door
 * @property {Identity | null} identity
 * @property {boolean} open whether the page asks who one is
 * @property {string} notice why it asks
 * @property {Identity | null} former who was signed in until the token expired
 */

/** @type {Door} */
let door = { identity: null, open: config.auth === 'keystone', notice: '', former: null };
const listeners = new Set();

function become(changes) {
  door = { ...door, ...changes };
  listeners.forEach((listener) => listener());
}

/** The door, for components: they are drawn again when it changes. */
export function useDoor() {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => door,
  );
}

/** The token that requests show, or nothing. */
export const currentToken = () => door.identity?.token ?? '';

export const askWho = (notice = '') => become({ open: true, notice });
export const stopAsking = () => become({ open: false, notice: '' });

/** Signs in; rejects with an Error that says why not. The keys are those of the gateway's `signin.py`. */
export async function signIn(credentials) {
  await enter({ ...(await ask('POST', '', credentials)), issued: true });
}

/** Takes a token that was made elsewhere. */
export async function signInWithToken(token) {
  await enter({ ...(await ask('POST', token, {})), issued: false });
}

/** Goes to another project, with another token of the same user. */
export async function changeProject(id) {
  const former = door.identity;
  await enter({ ...(await ask('POST', former.root, { project: id })), issued: former.issued });
  if (former.token !== former.root) {
    revoke(former.token).catch(() => {}); // it ends with the others
  }
}

/** Forgets the tokens, and revokes those that were made for this page. */
export async function signOut() {
  const { token, root, issued, expiresAt } = door.identity;
  become({ identity: null, open: true, notice: 'You are signed out.' });
  try {
    for (const each of new Set(issued ? [token, root] : token === root ? [] : [token])) {
      await revoke(each);
    }
  } catch (error) {
    const until = new Date(expiresAt).toLocaleTimeString([], { timeStyle: 'short' });
    become({ notice: `This page has forgotten your token. It could not be revoked, so it stays good until ${until}: ${error.message}` });
  }
}

/** Tells that the gateway or Keystone took a token no longer, if it is the one that requests show. */
export function expire(token = currentToken()) {
  if (token && token === currentToken()) {
    const notice = 'Your token has expired. Sign in again: what you wrote is still there.';
    become({ identity: null, open: true, notice, former: door.identity });
  }
}

async function enter(identity) {
  // As the gateway itself sees it; a token for no project has no roles there.
  const roles = identity.project ? await viewed(identity.token) : [];
  become({ identity: { ...identity, roles: roles ?? identity.roles }, open: !identity.project, notice: '', former: null });
}

async function viewed(token) {
  const response = await send(endpoint, 'POST', token, { query: '{ viewer { roles } }' });
  const { data } = await response.json();
  return data?.viewer.roles;
}

async function revoke(token) {
  try {
    await ask('DELETE', token);
  } catch (error) {
    if (error.status !== 401) {
      throw error; // else it is gone already
    }
  }
}

async function ask(method, token, given) {
  const response = await send(`${endpoint}/token`, method, token, given);
  if (response.ok) {
    return response.status === 204 ? null : response.json();
  }
  const { description } = await response.json().catch(() => ({})); // it may be a proxy's page
  const said = description ?? `${response.status} ${response.statusText}`.trim();
  throw Object.assign(new Error(said), { status: response.status });
}

async function send(address, method, token, given) {
  const headers = { ...(given && { 'Content-Type': 'application/json' }), ...(token && { 'X-Auth-Token': token }) };
  const request = { method, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' };
  try {
    return await fetch(address, given ? { ...request, body: JSON.stringify(given) } : request);
  } catch (error) {
    throw new Error(`The gateway at ${location.origin} does not answer`, { cause: error });
  }
}
