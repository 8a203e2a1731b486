// The workers come first: Monaco asks for them as soon as it loads.
import 'graphiql/setup-workers/vite';
import { explorerPlugin } from '@graphiql/plugin-explorer';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { createRoot } from 'react-dom/client';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './page.css';
import { Bar } from './bar.jsx';
import { config } from './config.js';
import { examples } from './examples.js';
import { fetcher } from './fetcher.js';
import { defaultHeaders } from './headers.js';
import { SignIn } from './signin.jsx';
import { storage } from './storage.js';

document.title = `${config.name} ${config.version}`;

// Made once: GraphiQL takes a new plugin list for a change of plugins.
const plugins = [explorerPlugin(), HISTORY_PLUGIN];

createRoot(document.getElementById('root')).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={plugins}
    storage={storage}
    shouldPersistHeaders={false}
    showPersistHeadersSettings={false}
    defaultHeaders={defaultHeaders}
    defaultTabs={examples}
    defaultQuery=""
    defaultEditorToolsVisibility="variables"
    inputValueDeprecation
    schemaDescription
  >
    <GraphiQL.Logo>
      <></>
    </GraphiQL.Logo>
    <Bar />
    <SignIn />
  </GraphiQL>,
);
