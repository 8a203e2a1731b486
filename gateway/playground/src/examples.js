// Each file in tabs/ is one example, NN-name.graphql, with its variables in NN-name.json if it has any.
// They are files of their own so that the gateway's tests can run them on the sample data.
const documents = import.meta.glob('./tabs/*.graphql', { query: '?raw', import: 'default', eager: true });
const variables = import.meta.glob('./tabs/*.json', { query: '?raw', import: 'default', eager: true });

/** The tabs of a first visit, in the order of their file names; the bar's menu opens them again later. */
export const examples = Object.keys(documents)
  .sort()
  .map((path) => ({
    // The first line of each document is a comment that is its title.
    title: documents[path].match(/^# *(.*)/)[1],
    query: documents[path].trimEnd(),
    variables: (variables[path.replace(/graphql$/, 'json')] ?? '').trimEnd(),
  }));
