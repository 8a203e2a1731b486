import { useEffect, useId, useRef, useState } from 'react';
import { createPortal } from 'react-dom';
import { changeProject, signIn, signInWithToken, signOut, stopAsking, useDoor } from './identity.js';

/** A labelled text field; what it says goes into the form under its name. */
function Field({ label, note, ...input }) {
  return (
    <label className="signin-field">
      <span>
        {label} {note && <small>{note}</small>}
      </span>
      <input type="text" required autoComplete="off" autoCapitalize="none" spellCheck={false} {...input} />
    </label>
  );
}

/** What one may show, what is done with it, and by which fields; `former` is who has been here before. */
const WAYS = {
  password: {
    title: 'Password',
    act: signIn,
    fields: (former) => (
      <>
        <Field label="User" name="user" autoComplete="username" defaultValue={former?.user.name} />
        <Field label="Domain" name="domain" defaultValue={former?.user.domain ?? 'Default'} />
        <Field label="Password" name="password" type="password" autoComplete="current-password" className="wide" />
        <Field
          label="Project"
          note="optional"
          name="project"
          required={false}
          placeholder="your default one"
          defaultValue={former?.project?.name}
        />
        <Field
          label="Its domain"
          note="optional"
          name="projectDomain"
          required={false}
          placeholder="the user’s"
          defaultValue={former?.project?.domain}
        />
      </>
    ),
  },
  credential: {
    title: 'Application credential',
    act: signIn,
    fields: () => (
      <>
        <Field label="Id" name="applicationCredentialId" className="wide" />
        <Field label="Secret" name="applicationCredentialSecret" type="password" className="wide" />
      </>
    ),
  },
  token: {
    title: 'Token',
    act: ({ token }) => signInWithToken(token),
    fields: () => (
      <Field
        label="Token"
        note={<code>openstack token issue -f value -c id</code>}
        name="token"
        type="password"
        className="wide"
        data-1p-ignore
      />
    ),
  },
};

/** Does something that may fail, and tells how it goes. */
function useAttempt() {
  const [state, setState] = useState({ busy: false, trouble: '' });
  async function attempt(action) {
    setState({ busy: true, trouble: '' });
    try {
      await action();
      setState({ busy: false, trouble: '' });
    } catch (error) {
      setState({ busy: false, trouble: error.message });
      return false;
    }
    return true;
  }
  return { ...state, attempt };
}

function Trouble({ children }) {
  // Always there: what appears together with its text isn't read out everywhere.
  return (
    <p className="signin-trouble" role="alert" hidden={!children}>
      {children}
    </p>
  );
}

function Credentials({ notice, former }) {
  const [way, setWay] = useState('password');
  const { busy, trouble, attempt } = useAttempt();
  const form = useRef(null);
  const group = useId();

  async function submit(event) {
    event.preventDefault();
    if (busy) {
      return;
    }
    // Empty fields are those one leaves to the gateway. A password may begin or end with spaces.
    const given = Object.fromEntries(
      [...new FormData(form.current)]
        .map(([name, value]) => [name, name === 'password' ? value : value.trim()])
        .filter(([name, value]) => value && name !== group),
    );
    if (!(await attempt(() => WAYS[way].act(given)))) {
      form.current?.querySelector('[type=password]').select();
    }
  }
  return (
    <form ref={form} onSubmit={submit} aria-busy={busy}>
      {notice && (
        <p className="signin-notice" role="status">
          {notice}
        </p>
      )}
      <fieldset className="signin-ways">
        <legend>Sign in with</legend>
        {Object.entries(WAYS).map(([key, { title }]) => (
          <label key={key}>
            <input type="radio" name={group} checked={way === key} onChange={() => setWay(key)} />
            <span>{title}</span>
          </label>
        ))}
      </fieldset>
      <div className="signin-fields" key={way}>
        {WAYS[way].fields(former)}
      </div>
      <Trouble>{trouble}</Trouble>
      <div className="signin-buttons">
        <button type="button" onClick={stopAsking}>
          Not now
        </button>
        <button type="submit" className="primary" aria-disabled={busy}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
      </div>
      <p className="signin-promise">
        What you enter goes to this gateway, and from there to Keystone. The token stays in the memory of this page: a
        reload forgets it.
      </p>
    </form>
  );
}

function Projects({ identity }) {
  const { busy, trouble, attempt } = useAttempt();
  const { user, projects } = identity;
  return (
    <div aria-busy={busy}>
      <p>
        {projects.length > 0
          ? `${user.name} may work in several projects. Which one?`
          : `${user.name} has no role in any project, and backups belong to projects.`}
      </p>
      <ul className="signin-projects">
        {projects.map(({ id, name }) => (
          <li key={id}>
            <button type="button" title={id} onClick={() => attempt(() => changeProject(id))}>
              {name}
            </button>
          </li>
        ))}
      </ul>
      <Trouble>{trouble}</Trouble>
      <div className="signin-buttons">
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      </div>
    </div>
  );
}

/** Asks who one is, over the page; Escape leaves it. */
export function SignIn() {
  const { identity, open, notice, former } = useDoor();
  const dialog = useRef(null);
  const title = useId();
  const step = open && (identity ? 'Choose a project' : 'Sign in');
  useEffect(() => {
    if (dialog.current && !dialog.current.open) {
      dialog.current.showModal();
    }
    // Where there is something to do, rather than at the first thing that could have the focus.
    const places = [...(dialog.current?.querySelectorAll('.signin-fields input, .signin-projects button') ?? [])];
    places.find(({ value }) => !value)?.focus();
  }, [step]);
  return (
    open &&
    createPortal(
      // GraphiQL's class brings its colours and fonts, in both themes.
      <dialog ref={dialog} className="graphiql-dialog signin" aria-labelledby={title} onCancel={stopAsking}>
        <h2 id={title}>{step}</h2>
        {identity ? <Projects identity={identity} /> : <Credentials notice={notice} former={former} />}
      </dialog>,
      document.body,
    )
  );
}
