/**
 * A link to a query, all of it in the fragment: a browser never sends that part to a server, so neither the
 * gateway nor a proxy's log sees it. It holds the document and its variables, never a header.
 *
 * The form is plain, `…/graphql#query=…&variables=…`, so that other pages can write such links too.
 */
export function linkTo({ query, variables }) {
  const fragment = new URLSearchParams({ query });
  if (variables?.trim()) {
    fragment.set('variables', variables);
  }
  return `${location.origin}${location.pathname}#${fragment}`;
}

/** The query that a fragment holds, or null. */
export function queryIn(hash) {
  const fragment = new URLSearchParams(hash.slice(1));
  const query = fragment.get('query');
  return query && { query, variables: fragment.get('variables') ?? '' };
}

/** Takes the query out of the address bar, so that a reload does not open it again. */
export function forgetLink() {
  history.replaceState(null, '', location.pathname + location.search);
}
