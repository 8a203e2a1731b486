/**
 * What the gateway says about itself, from the page's `<meta name="gateway">`.
 *
 * @typedef {object} Config
 * @property {string} name the gateway's name, for the title
 * @property {string} version its version
 * @property {'none' | 'keystone'} auth how it knows who asks
 * @property {string | null} defaultProject the project it takes when a request names none
 * @property {{id: string, name: string}[]} projects known projects, offered by the switcher
 *
 * @type {Config}
 */
export const config = JSON.parse(document.querySelector('meta[name="gateway"]').content);

/** The API answers at the page's own address, under whatever prefix that is. */
export const endpoint = location.pathname;
