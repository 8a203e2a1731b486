import { config } from './config.js';

const PROJECT = 'freezer-gateway:project';

function remembered() {
  try {
    return sessionStorage.getItem(PROJECT);
  } catch {
    return null; // a browser may forbid all storage
  }
}

let project = remembered() ?? config.defaultProject ?? '';
// Only ever in this variable: a token that is stored can be read by whoever comes to this browser next.
let token = '';

/** Who asks and in which project: what every tab's requests carry. */
export const session = {
  get project() {
    return project;
  },
  /** Remembered until the browser tab closes, so that a reload does not change what one looks at. */
  set project(value) {
    project = value;
    try {
      sessionStorage.setItem(PROJECT, value);
    } catch {
      // forgotten at the next reload, then
    }
  },
  get token() {
    return token;
  },
  set token(value) {
    token = value;
  },
};
