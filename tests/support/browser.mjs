// SPDX-License-Identifier: Apache-2.0
// One Chromium for the browser tests. Each person gets a context of its own (own storage), each tab is
// a page. The connections of a page are caught before its scripts run, so that a test can read their
// getStats; the page itself shows none of them.

import { chromium } from 'playwright-core';

const ARGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--autoplay-policy=no-user-gesture-required',
    '--allow-loopback-in-peer-connection',
    '--disable-features=WebRtcHideLocalIpsWithMdns',
    // Pages in the background are calls too.
    '--disable-background-timer-throttling',
    '--disable-renderer-backgrounding',
    '--disable-backgrounding-occluded-windows',
];

export async function launch({
    args = [],
    executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium',
} = {}) {
    return chromium.launch({
        executablePath,
        headless: true,
        args: [...ARGS, ...args],
    });
}

/** Runs in the page, before its scripts. */
function catchConnections() {
    const Native = window.RTCPeerConnection;
    const caught = [];
    window.RTCPeerConnection = class extends Native {
        constructor(...args) {
            super(...args);
            caught.push(this);
        }
    };
    // A test can take away the page's chance to say good-bye, as when a machine is switched off.
    addEventListener('pagehide', (event) => {
        if (window.testSilent) event.stopImmediatePropagation();
    });
    // The last one that has a remote description: throw-away connections have none.
    window.testConnection = () => caught.findLast((one) => one.remoteDescription);
    window.testStats = async () => {
        const connection = window.testConnection();
        return connection ? [...(await connection.getStats()).values()] : [];
    };
}

/**
 * A person at a browser.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 */
export async function openPage(
    browser,
    url,
    { context, viewport = { width: 960, height: 640 }, log = [], ...options } = {},
) {
    const own = context ?? (await browser.newContext({ viewport, ...options }));
    const page = await own.newPage();
    await page.addInitScript(catchConnections);
    page.setDefaultTimeout(30_000);
    page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => log.push(`error: ${error.stack ?? error}`));
    await page.goto(url);
    return page;
}

export async function signIn(page, user, password) {
    await page.fill('#user', user);
    await page.fill('#password', password);
    await page.click('#sign-in');
}

/** Signs in and waits until the page can call. */
export async function signedIn(page, user, password) {
    await signIn(page, user, password);
    await page.waitForSelector('body[data-view="home"][data-link="registered"]');
}

export async function call(page, callee) {
    await page.fill('#callee', callee);
    await page.click('#call');
}

export async function join(page, room) {
    await page.fill('#room-name', room);
    await page.click('#join');
}

export const answer = (page) => page.click('#answer');
export const decline = (page) => page.click('#decline');
export const hangUp = (page) => page.click('#hang-up');
export const atHome = (page) => page.waitForSelector('body[data-view="home"]');
export const ringing = (page) => page.waitForSelector('#incoming[open]');
export const connected = (page, timeout = 30_000) =>
    page.waitForSelector('#stage.connected', { timeout });

export const hold = (page) => page.click('#hold');
export const camera = (page) => page.click('#camera');
/** Waits until no change of the call is under way. */
export const settled = (page) =>
    page.waitForSelector(
        '#stage[data-state="established"]:not(:has(.round[aria-busy="true"]))',
    );

/** Waits until the page shows a sentence that matches. */
export async function sentence(page, pattern, timeout = 30_000) {
    await page.waitForFunction(
        ([source, flags]) => {
            const shown = !document.getElementById('notice').hidden;
            return (
                shown &&
                new RegExp(source, flags).test(document.getElementById('notice-text').textContent)
            );
        },
        [pattern.source, pattern.flags],
        { timeout },
    );
    return page.textContent('#notice-text');
}

/** The rows of getStats of the page's call. */
export const stats = (page) => page.evaluate(() => window.testStats());

/** Waits until the far picture is shown and goes on: a frozen one stays `seen`. */
export async function moving(page) {
    await page.waitForSelector('#stage.seen:not(.held)');
    const frames = () => document.getElementById('remote').getVideoPlaybackQuality().totalVideoFrames;
    const before = await page.evaluate(frames);
    await page.waitForFunction(
        (count) =>
            document.getElementById('remote').getVideoPlaybackQuality().totalVideoFrames > count + 5,
        before,
    );
}
