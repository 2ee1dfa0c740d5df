// SPDX-License-Identifier: Apache-2.0
// A room with two people at their pages and eight generated participants, of whom one leaves and comes
// again every so often: what those who stay see of those who stay, and for how long it stood still.
// tests/e2e has it for some seconds, tests/long for a minute.

import * as person from './browser.mjs';
import { RoomParticipant } from './room-participant.mjs';
import { USERS, pause } from './stack.mjs';

export const GENERATED = ['ann', 'bea', 'cem', 'dan', 'eve', 'fay', 'gil', 'hal'];
const ROOM = 'room/green@example.org';
/** As a webcam in a small window; the machine encodes and decodes everybody's. */
const GENERATED_VIDEO = { bitrate: 200_000, fps: 15 };
const SETTLED_S = 40;

/** What scene() needs. */
export const SCENE = {
    stack: {
        conf: '[room "green"]\n',
        users: { ...USERS, ...Object.fromEntries(GENERATED.map((name) => [id(name), 'generated'])) },
    },
    browser: { args: ['--use-fake-device-for-media-stream=fps=15'] },
};

function id(name) {
    return `${name}@example.org`;
}

/** Runs in the page: the size that a camera gives in spite of what the page would like. */
function smallCamera() {
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = (wanted) =>
        real({ ...wanted, ...(wanted.video ? { video: { width: 640, height: 360 } } : {}) });
}

/**
 * Runs in the page: how long each picture stood still while it was the same person's. getStats tells
 * freezes when they are over, as whoever paints the frames has seen them; the page's own clock, which
 * stands still as well when the machine has no time, does not matter.
 */
function watchFreezes() {
    const last = new Map();
    const longest = new Map();
    const ownerOf = (track) => {
        for (const tile of document.querySelectorAll('.tile:not(.own)'))
            if (tile.querySelector('video').srcObject?.getVideoTracks()[0]?.id === track)
                return tile.querySelector('.label').textContent;
        return undefined;
    };
    const look = async () => {
        const report = await window.testConnection().getStats();
        for (const row of report.values()) {
            if (row.type !== 'inbound-rtp' || row.kind !== 'video') continue;
            const owner = ownerOf(row.trackIdentifier);
            const before = last.get(row.mid);
            const now = {
                owner,
                count: row.freezeCount ?? 0,
                seconds: row.totalFreezesDuration ?? 0,
                frames: row.framesDecoded ?? 0,
                at: row.timestamp,
                moved: row.timestamp,
            };
            if (owner && before?.owner === owner) {
                if (now.frames === before.frames) now.moved = before.moved;
                const freezes = now.count - before.count;
                const told = freezes > 0 ? ((now.seconds - before.seconds) / freezes) * 1000 : 0;
                const still = now.at - now.moved;
                // One that goes on is seen by its frames that do not come.
                const length = Math.max(told, still > 1000 ? still : 0);
                longest.set(owner, Math.max(longest.get(owner) ?? 0, length));
            }
            last.set(row.mid, now);
        }
    };
    const timer = setInterval(look, 200);
    window.endFreezes = async () => {
        clearInterval(timer);
        await look();
        return Object.fromEntries(longest);
    };
}

export class RoomShow {
    pages = [];
    /** @type {Map<string, RoomParticipant>} */
    generated = new Map();

    /** Everybody is in the room and sees everybody. Ends with the test. */
    static async begin({ stack, browser, log }, t) {
        const show = new RoomShow();
        t.after(() => show.end());
        show.pages = await Promise.all(
            ['alice', 'bob'].map(async (name) => {
                const page = await person.openPage(browser, stack.url, {
                    log,
                    viewport: { width: 1280, height: 720 },
                });
                await page.addInitScript(smallCamera);
                await page.reload();
                await person.signedIn(page, id(name), USERS[id(name)]);
                await person.join(page, 'green');
                await person.connected(page);
                return page;
            }),
        );
        const url = `${stack.url.replace('http', 'ws').replace('localhost', '127.0.0.1')}eirtcw/v1`;
        for (const name of GENERATED) {
            const one = await RoomParticipant.register({
                url,
                webrtcId: id(name),
                password: 'generated',
                bind: stack.address,
                options: GENERATED_VIDEO,
            });
            show.generated.set(name, one);
            await one.join(ROOM);
        }
        await show.allSee();
        return show;
    }

    /** Until all pictures of all are there, on the pages and at the generated. */
    async allSee() {
        const others = GENERATED.length + this.pages.length - 1;
        await Promise.all([
            ...this.pages.map((page) =>
                page.waitForFunction(
                    (count) => document.querySelectorAll('.tile.seen:not(.own)').length === count,
                    others,
                ),
            ),
            ...[...this.generated.values()].map((one) =>
                one.until(
                    ({ participants }) =>
                        participants.length === others &&
                        participants.every(({ mids }) => mids.length === 2),
                    SETTLED_S,
                ),
            ),
        ]);
    }

    /**
     * Runs something, and tells the longest freeze of everybody's picture at everybody in milliseconds,
     * but for those who went meanwhile: { who: { whom: ms } }.
     * @param {() => Promise<string[]>} work gives the names of those who went
     */
    async watched(work) {
        const sources = () =>
            new Map(
                [...this.generated].map(([name, { participants }]) => [
                    name,
                    participants.map(({ displayName, mids }) => [displayName, mids.join()]),
                ]),
            );
        await Promise.all([
            ...this.pages.map((page) => page.evaluate(watchFreezes)),
            ...[...this.generated.values()].map((one) => one.leg.command('reset')),
        ]);
        const before = sources();
        const gone = await work();
        const told = {};
        for (const [index, name] of ['alice', 'bob'].entries()) {
            const all = await this.pages[index].evaluate(() => window.endFreezes());
            told[name] = Object.fromEntries(Object.entries(all).filter(([one]) => !gone.includes(one)));
        }
        const after = sources();
        for (const [name, one] of this.generated) {
            if (gone.includes(name)) continue;
            const { receive } = await one.leg.stats();
            const kept = before.get(name).filter(([whom, mids]) =>
                after.get(name).some((now) => now[0] === whom && now[1] === mids),
            );
            told[name] = {};
            for (const [whom, mids] of kept) {
                if (gone.includes(whom.split('@')[0])) continue;
                const video = receive.find((row) => row.kind === 'video' && mids.split(',').includes(row.mid));
                told[name][whom.split('@')[0]] = (video?.longestFreezeUs ?? Infinity) / 1000;
            }
        }
        return told;
    }

    /** Nobody goes. @param {number} seconds */
    quiet(seconds) {
        return this.watched(async () => {
            await pause(seconds * 1000); // the length of the measurement
            return [];
        });
    }

    /**
     * One leaves and comes again, one after the other.
     * @param {{ times: number, every: number }} how seconds from one to the next
     */
    churn({ times, every }) {
        // The first half goes, the second stays.
        const going = GENERATED.slice(0, Math.min(times, GENERATED.length / 2));
        return this.watched(async () => {
            for (let turn = 0; turn < times; turn++) {
                const one = this.generated.get(going[turn % going.length]);
                const next = Date.now() + every * 1000;
                await one.leave();
                await pause(every * 400); // the others are without for a while
                await one.join(ROOM);
                await this.allSee();
                await pause(Math.max(0, next - Date.now())); // the length of the measurement
            }
            return going;
        });
    }

    async end() {
        const [generated, pages] = [[...this.generated.values()], this.pages];
        this.generated.clear();
        this.pages = [];
        await Promise.all(generated.map((one) => one.close()));
        await Promise.all(pages.map((page) => page.context().close()));
    }
}

/** The worst of a result, and all of it in words. */
export function worst(told) {
    const all = Object.entries(told).flatMap(([who, freezes]) =>
        Object.entries(freezes).map(([whom, ms]) => ({ who, whom, ms })),
    );
    const { who, whom, ms } = all.reduce((one, other) => (other.ms > one.ms ? other : one));
    return { ms, pairs: all.length, text: `${whom} at ${who} for ${Math.round(ms)} ms` };
}
