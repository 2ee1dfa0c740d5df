// SPDX-License-Identifier: Apache-2.0
// The drawer beside the picture: figures of the call, or the messages behind it, as two tabs.

import { button, element } from './dom.js';

const TABS = ['figures', 'messages'];

export class Drawer {
    #panels;
    #open = false;
    #tab = 'figures';

    /**
     * @param {Record<string, { show: () => void, hide: () => void }>} panels by tab
     * @param {AbortSignal} signal
     */
    constructor(panels, signal) {
        this.#panels = panels;
        button('stats').addEventListener('click', () => this.toggle(), { signal });
        button('stats-close').addEventListener('click', () => this.close(true), { signal });
        for (const name of TABS) {
            const tab = button(`tab-${name}`);
            tab.addEventListener('click', () => this.#select(name), { signal });
            tab.addEventListener('keydown', (event) => this.#onKey(event), { signal });
        }
        this.#select('figures');
        this.close();
    }

    toggle() {
        if (this.#open) this.close();
        else this.open();
    }

    open() {
        this.#open = true;
        element('drawer').hidden = false;
        button('stats').ariaExpanded = 'true';
        this.#panels[this.#tab].show();
    }

    close(focus = false) {
        this.#open = false;
        element('drawer').hidden = true;
        button('stats').ariaExpanded = 'false';
        this.#panels[this.#tab].hide();
        if (focus) button('stats').focus();
    }

    /** @param {string} name */
    #select(name) {
        if (this.#open) this.#panels[this.#tab].hide();
        this.#tab = name;
        for (const one of TABS) {
            const chosen = one === name;
            const tab = button(`tab-${one}`);
            tab.ariaSelected = String(chosen);
            tab.tabIndex = chosen ? 0 : -1;
            element(`panel-${one}`).hidden = !chosen;
        }
        if (this.#open) this.#panels[name].show();
    }

    /** As in every row of tabs: the arrows choose. @param {KeyboardEvent} event */
    #onKey(event) {
        if (event.key !== 'ArrowRight' && event.key !== 'ArrowLeft') return;
        const next = TABS[(TABS.indexOf(this.#tab) + 1) % TABS.length];
        this.#select(next);
        button(`tab-${next}`).focus();
        event.preventDefault();
    }
}
