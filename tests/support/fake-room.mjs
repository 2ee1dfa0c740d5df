// SPDX-License-Identifier: Apache-2.0
// A room for tests of the page alone: FakeWsf answers msetup of room/… with an offer of a browser page
// that plays the media centre and everybody else in the room, each with a picture of their own colour.
// What the real programs do is tested with them; this one does on request what they do not.

/** Runs in the page of the media centre. */
function centre() {
    const legs = new Map();
    const picture = (name, index) => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
        const pen = canvas.getContext('2d');
        let turn = 0;
        setInterval(() => {
            const sky = pen.createLinearGradient(0, 0, 640, 360);
            sky.addColorStop(0, `hsl(${index * 67} 45% 62%)`);
            sky.addColorStop(1, `hsl(${index * 67 + 40} 50% 34%)`);
            pen.fillStyle = sky;
            pen.fillRect(0, 0, 640, 360);
            pen.fillStyle = `hsl(${index * 67 + 180} 30% 80%)`;
            pen.beginPath();
            pen.arc(320 + Math.sin(turn / 9) * 6, 160, 62, 0, 7);
            pen.ellipse(320, 370, 150, 130, 0, 0, 7);
            pen.fill();
            turn += 1;
        }, 100);
        return canvas.captureStream(10).getVideoTracks()[0];
    };
    const pictures = new Map();
    window.roomOffer = async (id, slots) => {
        const leg = legs.get(id) ?? { connection: new RTCPeerConnection(), kinds: [] };
        legs.set(id, leg);
        for (const [index, slot] of slots.entries()) {
            leg.kinds[index] ??= leg.connection.addTransceiver(slot.kind, { direction: slot.direction });
            const { sender } = leg.kinds[index];
            if (slot.kind !== 'video' || !slot.name) continue;
            if (!pictures.has(slot.name)) pictures.set(slot.name, picture(slot.name, pictures.size));
            await sender.replaceTrack(pictures.get(slot.name));
        }
        await leg.connection.setLocalDescription();
        await new Promise((resolve) => {
            const check = () => leg.connection.iceGatheringState === 'complete' && resolve();
            leg.connection.onicegatheringstatechange = check;
            check();
        });
        return leg.connection.localDescription.sdp;
    };
    window.roomAnswer = (id, sdp) =>
        legs.get(id).connection.setRemoteDescription({ type: 'answer', sdp });
    // Another person's picture in a slot, without an offer.
    window.roomPlays = async (id, mid, name) => {
        if (!pictures.has(name)) pictures.set(name, picture(name, pictures.size));
        await legs.get(id).connection.getTransceivers().find((one) => one.mid === mid)
            .sender.replaceTrack(pictures.get(name));
    };
}

export class FakeRoom {
    /** One who looks, and all the others. @param {import('./fake-wsf.mjs').FakeWsf} wsf */
    static async in(wsf, browser) {
        const room = new FakeRoom();
        room.wsf = wsf;
        room.page = await (await browser.newContext()).newPage();
        await room.page.goto(wsf.url);
        await room.page.evaluate(centre);
        wsf.overrides.msetup = (connection) => room.#join(connection);
        wsf.overrides['view.example.org'] = (_, { mediaSessionId, userData }) => {
            room.views = userData.views;
            return { mediaSessionId };
        };
        wsf.media = {
            answer: (id, sdp) =>
                room.page.evaluate(([leg, text]) => window.roomAnswer(leg, text), [id, sdp]),
            end: () => {},
        };
        return room;
    }

    /** Who is there: names; those with a picture first. */
    people = [];
    pictures = 0;
    /** A refusal of the next one who joins. */
    refusal;

    #slots() {
        return [
            { kind: 'audio', direction: 'sendrecv' },
            ...Array.from({ length: Math.max(1, this.pictures) }, (_, index) => ({
                kind: 'video',
                direction: index === 0 ? 'sendrecv' : 'sendonly',
                name: this.people[index],
            })),
        ];
    }

    #list() {
        return this.people.map((name, index) => ({
            participantId: `p-${name}`,
            displayName: `${name}@example.org`,
            mids: index < this.pictures ? [String(index + 1)] : [],
        }));
    }

    #offer() {
        return this.page.evaluate(
            ([leg, slots]) => window.roomOffer(leg, slots),
            [this.leg.id, this.#slots()],
        );
    }

    async #join(connection) {
        if (this.refusal) throw this.refusal;
        this.leg = { id: `m-${Math.random()}`, connection, state: 'proceeding', webrtcId: connection.webrtcId, instanceId: connection.instanceId };
        this.wsf.sessions.set(this.leg.id, this.leg);
        return { mediaSessionId: this.leg.id, sdpOffer: await this.#offer(), participants: this.#list(), participantId: 'p-me' };
    }

    /** The room is now so. */
    async become(people, pictures = people.length) {
        Object.assign(this, { people, pictures });
        await this.tell({ participants: this.#list(), sdpOffer: await this.#offer() });
    }

    tell(members) {
        return this.wsf.request(this.leg.connection, 'mupdate', { mediaSessionId: this.leg.id, ...members });
    }

    /** An m-line is somebody else's from now on. */
    async plays(mid, name) {
        await this.page.evaluate((args) => window.roomPlays(...args), [this.leg.id, mid, name]);
        const list = this.#list().map((one) => ({ ...one, mids: one.mids.filter((each) => each !== mid) }));
        list.find((one) => one.displayName === `${name}@example.org`)?.mids.push(mid);
        await this.tell({ participants: list });
    }
}
