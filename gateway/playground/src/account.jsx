import { pick, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { useEffect, useRef, useState } from 'react';
import { askWho, changeProject, expire, signOut, useDoor } from './identity.js';

/** Shows what belongs to whom: the schema comes with the first token, and answers go with the one they were given to. */
function useFreshPanes(token) {
  const { introspect } = useGraphiQLActions();
  const { schema, tabs, responseEditor } = useGraphiQL(pick('schema', 'tabs', 'responseEditor'));
  const former = useRef(token);
  useEffect(() => {
    if (former.current === token) {
      return;
    }
    former.current = token;
    // GraphiQL has no action that empties the answers of tabs in the background.
    tabs.forEach((tab) => {
      tab.response = null;
    });
    responseEditor?.setValue('');
    if (token && !schema) {
      introspect();
    }
  }, [token, schema, tabs, responseEditor, introspect]);
}

function ProjectChoice({ identity }) {
  const [trouble, setTrouble] = useState('');
  const [wanted, setWanted] = useState('');
  const { project, projects } = identity;
  const names = projects.map(({ name }) => name);

  async function change(id) {
    setWanted(id);
    setTrouble('');
    try {
      await changeProject(id);
    } catch (error) {
      if (error.status === 401) {
        expire();
      } else {
        setTrouble(error.message);
      }
    }
    setWanted('');
  }
  return (
    <>
      <span className="bar-trouble" role="alert">
        {trouble}
      </span>
      <label>
        Project
        <select
          name="project"
          value={wanted || project?.id || ''}
          aria-busy={Boolean(wanted)}
          title={project ? `${project.id} of the domain ${project.domain}` : undefined}
          onChange={(event) => change(event.target.value)}
        >
          {!project && <option value="">none</option>}
          {projects.map(({ id, name, domainId }) => (
            <option key={id} value={id}>
              {names.indexOf(name) === names.lastIndexOf(name) ? name : `${name} (${domainId})`}
            </option>
          ))}
        </select>
      </label>
    </>
  );
}

/** Who is signed in, where and as what; or a way to become somebody. */
export function Account() {
  const { identity } = useDoor();
  useFreshPanes(identity?.token);
  if (!identity) {
    return (
      <button type="button" className="primary" onClick={() => askWho()}>
        Sign in
      </button>
    );
  }
  const { user, roles, expiresAt } = identity;
  const until = new Date(expiresAt).toLocaleTimeString([], { timeStyle: 'short' });
  return (
    <>
      <ProjectChoice identity={identity} />
      <span className="bar-account" title={`Of the domain ${user.domain}; the token is good until ${until}`}>
        <b>{user.name}</b> <small>{roles.join(', ') || 'no role'}</small>
      </span>
      <button type="button" onClick={signOut}>
        Sign out
      </button>
    </>
  );
}
