import { useId, useState } from 'react';
import { config } from './config.js';
import { session } from './session.js';

/** A text field for `X-Project-Id` that offers the projects which the gateway knows. */
export function ProjectSwitcher() {
  const [project, setProject] = useState(session.project);
  const [typed, setTyped] = useState(null); // what stands in the field while it is edited, else null
  const [open, setOpen] = useState(false);
  const [marked, setMarked] = useState(-1);
  const listId = useId();

  // Everything is offered until one types: the field starts with a project in it, which is no search.
  const wanted = typed?.toLowerCase() ?? '';
  const offered = config.projects.filter(
    ({ id, name }) => id.toLowerCase().includes(wanted) || name.toLowerCase().includes(wanted),
  );
  const shown = open && offered.length > 0;

  function commit(value) {
    session.project = value.trim();
    setProject(value.trim());
    close();
  }
  function close() {
    setTyped(null);
    setMarked(-1);
    setOpen(false);
  }
  function onKeyDown(event) {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      const step = event.key === 'ArrowDown' ? 1 : -1;
      setOpen(true);
      setMarked((marked + step + offered.length) % Math.max(offered.length, 1));
    } else if (event.key === 'Enter') {
      commit(offered[marked]?.id ?? typed ?? project);
    } else if (event.key === 'Escape') {
      close();
    }
  }
  return (
    <div className="bar-project">
      <label>
        Project
        <input
          name="project"
          role="combobox"
          aria-expanded={shown}
          aria-controls={listId}
          aria-activedescendant={marked >= 0 ? `${listId}-${marked}` : undefined}
          autoComplete="off"
          spellCheck={false}
          placeholder="X-Project-Id"
          title="Sent as X-Project-Id with every request of this page"
          value={typed ?? project}
          onFocus={(event) => {
            event.target.select();
            setOpen(true);
          }}
          onClick={() => setOpen(true)}
          onChange={(event) => {
            setTyped(event.target.value);
            setMarked(-1);
            setOpen(true);
          }}
          onKeyDown={onKeyDown}
          onBlur={() => (typed === null ? close() : commit(typed))}
        />
      </label>
      <ul id={listId} role="listbox" aria-label="Known projects" hidden={!shown}>
        {offered.map(({ id, name }, index) => (
          <li
            key={id}
            id={`${listId}-${index}`}
            role="option"
            aria-selected={id === project}
            className={index === marked ? 'marked' : undefined}
            // Not on click: by then the field has lost its focus and the list is gone.
            onPointerDown={(event) => {
              event.preventDefault();
              commit(id);
            }}
          >
            {id} {name && name !== id && <small>{name}</small>}
          </li>
        ))}
      </ul>
    </div>
  );
}
