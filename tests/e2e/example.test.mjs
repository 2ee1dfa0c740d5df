// SPDX-License-Identifier: Apache-2.0
// docs/examples/two-pages.mjs as its README says: two Chromium pages talk through the wmcf, driven
// by that script alone.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch, openPage } from '../support/browser.mjs';
import { IDENTITY, Wmcf, root } from '../support/wmcf.mjs';

const framesDecoded = (page) =>
    page.evaluate(async () => {
        const stats = [...(await window.pc.getStats()).values()];
        return (
            stats.find((s) => s.type === 'inbound-rtp' && s.kind === 'video')?.framesDecoded ?? 0
        );
    });

// The registered name of what DTLS has agreed on.
const srtpCipher = (page) =>
    page.evaluate(async () =>
        [...(await window.pc.getStats()).values()].find((s) => s.type === 'transport').srtpCipher,
    );

test('the script of docs/examples connects two pages', { timeout: 180_000 }, async (t) => {
    const wmcf = await Wmcf.start();
    // Beside the tests' node_modules, where its one import is found.
    const folder = mkdtempSync(path.join(root, 'tests/e2e/example-'));
    copyFileSync(
        path.join(root, 'docs/examples/two-pages.mjs'),
        path.join(folder, 'two-pages.mjs'),
    );
    const script = spawn(
        process.execPath,
        [
            path.join(folder, 'two-pages.mjs'),
            wmcf.url,
            IDENTITY,
            path.join(wmcf.folder, 'token'),
            '0',
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const browser = await launch();
    t.after(async () => {
        await browser.close();
        script.kill();
        rmSync(folder, { recursive: true, force: true });
        await wmcf.stop();
    });
    let said = '';
    script.stdout.on('data', (data) => {
        said += data;
    });
    const heard = async (pattern) => {
        while (!pattern.test(said)) {
            assert.equal(script.exitCode, null, said);
            await sleep(50);
        }
        return said.match(pattern);
    };
    const [, url] = await heard(/open (http:\S+) twice/);
    const pages = [await openPage(browser, url), await openPage(browser, url)];
    await heard(/gates are open/);
    for (const page of pages) {
        const deadline = Date.now() + 20_000;
        while ((await framesDecoded(page)) < 30) {
            assert.ok(Date.now() < deadline, `no picture: ${said}`);
            await sleep(100);
        }
    }
    const [context] = (await wmcf.ctl('contexts')).contexts;
    assert.deepEqual(context.states, ['connected', 'connected']);
    // The media centre has offered.
    for (const page of pages) assert.equal(await srtpCipher(page), 'SRTP_AEAD_AES_128_GCM');
    for (const page of pages) await page.close();
    const deadline = Date.now() + 10_000;
    while ((await wmcf.ctl('contexts')).contexts.length) {
        assert.ok(Date.now() < deadline, 'the context is still there');
        await sleep(100);
    }
});
