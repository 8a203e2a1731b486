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

/** In which project every tab's requests are meant, where nobody signs in. */
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
};
