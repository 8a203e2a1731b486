import { DropdownMenu, pick, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { useEffect, useRef, useState } from 'react';
import { createPortal } from 'react-dom';
import { Account } from './account.jsx';
import { config } from './config.js';
import { examples } from './examples.js';
import { useKnownHeaders } from './headers.js';
import icon from './icon.svg';
import { forgetLink, linkTo, queryIn } from './links.js';
import { ProjectSwitcher } from './project.jsx';

/** A function that shows a document in a tab: the one that already holds it, or a new one. Nothing is run. */
function useOpenTab() {
  const { addTab, changeTab } = useGraphiQLActions();
  const { queryEditor, variableEditor, tabs } = useGraphiQL(pick('queryEditor', 'variableEditor', 'tabs'));
  if (!queryEditor || !variableEditor) {
    return null; // still loading
  }
  return ({ query, variables }) => {
    const known = tabs.findIndex((tab) => tab.query === query && (tab.variables ?? '') === variables);
    if (known >= 0) {
      changeTab(known);
      return;
    }
    addTab();
    // The new tab is empty and active now; the editors' change handlers carry the text into it.
    queryEditor.setValue(query);
    variableEditor.setValue(variables);
  };
}

/** Opens the query that the address holds, at the start and whenever a link is pasted into this page. */
function useLinks() {
  const openTab = useOpenTab();
  const latest = useRef(openTab);
  useEffect(() => {
    latest.current = openTab;
  });
  const ready = Boolean(openTab);
  useEffect(() => {
    function open() {
      const shared = queryIn(location.hash);
      if (shared && latest.current) {
        latest.current(shared);
        forgetLink();
      }
    }
    open();
    window.addEventListener('hashchange', open);
    return () => window.removeEventListener('hashchange', open);
  }, [ready]);
}

/** Breaks long lines: beside the answer and the docs the editors are narrow, and the examples' comments are prose. */
function useWordWrap() {
  const { queryEditor, headerEditor } = useGraphiQL(pick('queryEditor', 'headerEditor'));
  useEffect(() => {
    queryEditor?.updateOptions({ wordWrap: 'on' });
    headerEditor?.updateOptions({ wordWrap: 'on' });
  }, [queryEditor, headerEditor]);
}

/** Fetches the schema again once a token makes it readable: where Keystone guards it, the first try failed. */
function useSchemaOnceAllowed() {
  const { introspect } = useGraphiQLActions();
  const { schema, isFetching, isIntrospecting } = useGraphiQL(pick('schema', 'isFetching', 'isIntrospecting'));
  const ran = useRef(false);
  useEffect(() => {
    if (ran.current && !isFetching && !schema && !isIntrospecting) {
      introspect();
    }
    ran.current = isFetching;
  }, [isFetching, schema, isIntrospecting, introspect]);
}

function Share() {
  const { queryEditor, variableEditor } = useGraphiQL(pick('queryEditor', 'variableEditor'));
  const [outcome, setOutcome] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => setOutcome(''), 4000);
    return () => clearTimeout(timer);
  }, [outcome]);
  async function share() {
    const link = linkTo({ query: queryEditor.getValue(), variables: variableEditor.getValue() });
    try {
      await navigator.clipboard.writeText(link);
      setOutcome('Link copied');
    } catch {
      // Browsers keep the clipboard from pages that came over plain HTTP.
      history.replaceState(null, '', link);
      setOutcome('Link is in the address bar');
    }
  }
  return (
    <>
      <span className="bar-outcome" role="status">
        {outcome}
      </span>
      <button type="button" onClick={share} title="Copy a link to this document and its variables (never its headers)">
        Share
      </button>
    </>
  );
}

function Examples() {
  const openTab = useOpenTab();
  return (
    <DropdownMenu>
      <DropdownMenu.Button type="button" className="bar-button">
        Examples <span aria-hidden="true">▾</span>
      </DropdownMenu.Button>
      <DropdownMenu.Content align="end" className="bar-menu">
        {examples.map((example) => (
          <DropdownMenu.Item key={example.title} onSelect={() => openTab?.(example)}>
            {example.title}
          </DropdownMenu.Item>
        ))}
      </DropdownMenu.Content>
    </DropdownMenu>
  );
}

function Theme() {
  const { setTheme } = useGraphiQLActions();
  const chosen = useGraphiQL((state) => state.theme);
  const system = window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const other = (chosen ?? system) === 'dark' ? 'light' : 'dark';
  return (
    <button type="button" onClick={() => setTheme(other)} title={`Switch to the ${other} theme`} aria-label={`Switch to the ${other} theme`}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" strokeWidth="1.5" />
        <path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor" />
      </svg>
    </button>
  );
}

/** The strip above GraphiQL: which gateway, which project, who asks, and what to do with the query. */
export function Bar() {
  useKnownHeaders();
  useLinks();
  useWordWrap();
  useSchemaOnceAllowed();
  return createPortal(
    // GraphiQL's class brings its colours and fonts, in both themes.
    <div className="graphiql-container bar">
      <img src={icon} alt="" width="24" height="24" />
      <h1>
        {config.name} <small>{config.version}</small>
      </h1>
      {config.auth === 'keystone' ? <Account /> : <ProjectSwitcher />}
      <div className="bar-actions">
        <Share />
        <Examples />
        <Theme />
      </div>
    </div>,
    document.getElementById('bar'),
  );
}
