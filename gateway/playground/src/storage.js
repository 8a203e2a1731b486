import { endpoint } from './config.js';

// Two gateways below different prefixes of one host keep apart.
const prefix = `freezer-gateway:${endpoint}:`;

const own = () => Object.keys(localStorage).filter((key) => key.startsWith(prefix));

// Never written, and the documents that hold a header inside; the others are plain text.
const DROPPED = new Set(['graphiql:headers', 'graphiql:shouldPersistHeaders']);
const SCRUBBED = new Set(['graphiql:tabState', 'graphiql:queries', 'graphiql:favorites']);

/**
 * GraphiQL's storage (tabs, history, theme, sizes) with every header taken out before it is written.
 *
 * `shouldPersistHeaders={false}` alone is not enough: the history keeps the headers of what was run.
 */
const scrubbed = {
  getItem: (key) => localStorage.getItem(prefix + key),
  setItem(key, value) {
    if (DROPPED.has(key)) {
      return;
    }
    const kept = SCRUBBED.has(key)
      ? JSON.stringify(JSON.parse(value), (name, inner) => (name === 'headers' ? null : inner))
      : value;
    localStorage.setItem(prefix + key, kept);
  },
  removeItem: (key) => localStorage.removeItem(prefix + key),
  clear: () => own().forEach((key) => localStorage.removeItem(key)),
  get length() {
    return own().length;
  },
};

function usable() {
  try {
    return Boolean(localStorage);
  } catch {
    return false; // reading it throws where a browser forbids storage
  }
}

/** What GraphiQL's `storage` property takes: null means that nothing is kept. */
export const storage = usable() ? scrubbed : null;
