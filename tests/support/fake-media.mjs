// SPDX-License-Identifier: Apache-2.0
// A media centre made of a browser page: one RTCPeerConnection per leg, a leg's tracks sent on to the
// other. It lets the library and the page be tested with real media when wmcf is not what is tested.

/** Runs in the page. */
function centre() {
    const legs = new Map();
    // An offer in one direction must be done before one in the other begins.
    const turns = new Map();
    const inTurn = (id, work) => {
        const next = (turns.get(id) ?? Promise.resolve()).then(work);
        turns.set(id, next.catch(() => {}));
        return next;
    };
    window.offer = async (id) => {
        const connection = new RTCPeerConnection();
        const transceivers = ['audio', 'video'].map((kind) =>
            connection.addTransceiver(kind, { direction: 'sendrecv' }),
        );
        legs.set(id, { connection, transceivers });
        // Chromium decodes, and so forwards, only the sound that is played somewhere.
        const player = new Audio();
        player.muted = true;
        player.srcObject = new MediaStream([transceivers[0].receiver.track]);
        player.play();
        await connection.setLocalDescription();
        await new Promise((resolve) => {
            const check = () => connection.iceGatheringState === 'complete' && resolve();
            connection.onicegatheringstatechange = check;
            check();
        });
        return connection.localDescription.sdp;
    };
    // Another offer of the endpoint: taken as it is.
    window.update = (id, sdp) => inTurn(id, () => update(id, sdp));
    const update = async (id, sdp) => {
        const { connection, transceivers } = legs.get(id);
        await connection.setRemoteDescription({ type: 'offer', sdp });
        for (const one of connection.getTransceivers()) {
            one.direction = 'sendrecv';
            if (!transceivers.includes(one)) transceivers.push(one);
        }
        await connection.setLocalDescription();
        return connection.localDescription.sdp;
    };
    // Another offer to the endpoint; directions by m-line, more of them than there are: new ones.
    window.reoffer = (id, medias) => inTurn(id, () => reoffer(id, medias));
    const reoffer = async (id, medias) => {
        const { connection, transceivers } = legs.get(id);
        medias.forEach(({ kind, direction }, index) => {
            transceivers[index] ??= connection.addTransceiver(kind);
            transceivers[index].direction = direction;
        });
        await connection.setLocalDescription(await connection.createOffer());
        return connection.localDescription.sdp;
    };
    window.rollback = (id) =>
        legs.get(id)?.connection.setLocalDescription({ type: 'rollback' });
    window.answer = (id, sdp) =>
        legs.get(id)?.connection.setRemoteDescription({ type: 'answer', sdp });
    window.join = (one, other) => {
        for (const [from, to] of [
            [one, other],
            [other, one],
        ]) {
            legs.get(from)?.transceivers.forEach(({ receiver }, index) =>
                legs.get(to)?.transceivers[index]?.sender.replaceTrack(receiver.track),
            );
        }
    };
    window.end = (id) => {
        legs.get(id)?.connection.close();
        legs.delete(id);
        turns.delete(id);
    };
}

/** @param {import('playwright-core').Browser} browser */
export async function fakeMedia(browser, url) {
    const page = await (await browser.newContext()).newPage();
    await page.goto(url);
    await page.evaluate(centre);
    return {
        offer: (id) => page.evaluate((leg) => window.offer(leg), id),
        answer: (id, sdp) => page.evaluate(([leg, text]) => window.answer(leg, text), [id, sdp]),
        update: (id, sdp) => page.evaluate(([leg, text]) => window.update(leg, text), [id, sdp]),
        reoffer: (id, medias) =>
            page.evaluate(([leg, wanted]) => window.reoffer(leg, wanted), [id, medias]),
        rollback: (id) => page.evaluate((leg) => window.rollback(leg), id),
        join: (one, other) => page.evaluate(([a, b]) => window.join(a, b), [one, other]),
        end: (id) => page.evaluate((leg) => window.end(leg), id).catch(() => {}),
        context: page.context(),
    };
}
