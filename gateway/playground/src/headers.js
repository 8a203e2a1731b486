import { useMonaco } from '@graphiql/react';
import { useEffect } from 'react';
import { config } from './config.js';

/** What a new tab's Headers pane says. It is JSON with comments, so this sends nothing. */
export const defaultHeaders = `{
  // Of this tab alone, over what the bar at the top says; never stored.
  // "X-Auth-Token": "openstack token issue -f value -c id",
  // "X-Project-Id": "${config.defaultProject ?? 'the id of a project'}"
}`;

const schema = {
  type: 'object',
  properties: {
    'X-Auth-Token': {
      type: 'string',
      description:
        'A Keystone token: `openstack token issue -f value -c id` prints one.' +
        (config.auth === 'none' ? ' This gateway runs without authentication and ignores it.' : ''),
    },
    'X-Project-Id': {
      type: 'string',
      description: 'The id of the project whose backups are meant. Without it the gateway decides.',
      examples: config.projects.map(({ id }) => id),
    },
  },
  additionalProperties: { type: 'string' },
};

/** Teaches the Headers pane to complete, explain and check the headers that the gateway reads. */
export function useKnownHeaders() {
  const monaco = useMonaco((state) => state.monaco);
  useEffect(() => {
    const defaults = monaco?.languages.json.jsonDefaults;
    defaults?.setDiagnosticsOptions({
      ...defaults.diagnosticsOptions,
      validate: true,
      enableSchemaRequest: false,
      // GraphiQL adds the schemas of variables to this list later, and keeps what it finds.
      schemas: [
        ...(defaults.diagnosticsOptions.schemas ?? []),
        { uri: 'freezer-gateway:headers', fileMatch: ['*request-headers.json'], schema },
      ],
    });
  }, [monaco]);
}
