// SPDX-License-Identifier: Apache-2.0
// An authority for one test and certificates signed by it, with the openssl program.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

function openssl(args) {
    const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`openssl: ${stderr}`);
}

const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-days', '2'];

export class Authority {
    constructor() {
        this.folder = mkdtempSync(path.join(tmpdir(), 'authority-'));
        this.#request('ca', ['-subj', '/CN=Test authority', '-addext', 'keyUsage=keyCertSign']);
        this.ca = this.#read('ca.pem');
    }

    #request(name, more) {
        const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`].map((one) =>
            one.startsWith('-') ? one : path.join(this.folder, one),
        );
        openssl(['req', '-x509', ...fresh, ...files, ...more]);
    }

    #read(name) {
        return readFileSync(path.join(this.folder, name), 'utf8');
    }

    /** `names`: the subject alternative names as openssl writes them. PEM texts {certificate, key}. */
    issue(names, { days = '2' } = {}) {
        const ca = ['-CA', path.join(this.folder, 'ca.pem'), '-CAkey', path.join(this.folder, 'ca.key')];
        const san = ['-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:FALSE'];
        this.#request('leaf', ['-subj', '/CN=leaf', '-days', days, ...ca, ...san]);
        return { certificate: this.#read('leaf.pem'), key: this.#read('leaf.key') };
    }

    remove() {
        rmSync(this.folder, { recursive: true, force: true });
    }
}
