// SPDX-License-Identifier: Apache-2.0
// A participant of a room who needs no browser: signalling by a bare client, media by a generated
// leg (generated-leg.mjs). It answers whatever the network offers, takes a slot for every m-line
// that it is offered, and keeps what it is told of the others.
import { Endpoint } from './eirtcw-client.mjs';
import { GeneratedLeg } from './generated-leg.mjs';

const KINDS = { audio: 'opus/48000/2' };

/** A pre-offer with one m-line per kind; the directions are the participant's view. */
export function preOffer({ audio = 'sendrecv', video = 'sendrecv', codec = 'VP8' } = {}) {
    const lines = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0'];
    Object.entries({ audio, video }).forEach(([kind, direction], index) => {
        if (!direction) return;
        lines.push(`m=${kind} 9 UDP/TLS/RTP/SAVPF ${96 + index}`, `a=mid:${kind}`, `a=${direction}`,
            `a=rtpmap:${96 + index} ${kind === 'video' ? `${codec}/90000` : KINDS[kind]}`);
    });
    return `${lines.join('\r\n')}\r\n`;
}

const kindsOf = (sdp) => [...sdp.matchAll(/^m=(audio|video) /gm)].map(([, kind]) => kind);

export class RoomParticipant {
    /** The others as told last: [{ participantId, displayName, mids }]. */
    participants = [];
    /** Own participantId, and who speaks ('' for nobody), as told. */
    participantId;
    activeSpeaker;
    /** Every offer of the network that was answered, and every request that came, in order. */
    offers = [];
    /** The kind of each m-line of the last offer, by mid. */
    told = new Map();
    requests = [];
    /** Whether later offers of the network are refused, or not even heard. */
    refuses = false;
    ignores = false;
    /** The mdisc of the network, when it has ended the session. */
    ended;
    #medias = 0;

    /**
     * Registers. `url` of the WebSocket, `bind`: the leg's own address.
     * @param {{ url: string, webrtcId: string, password: string, bind?: string, prefix?: string[],
     *   options?: object, socket?: object }} who `options` as of GeneratedLeg.answer(), `socket` of the
     *   WebSocket
     */
    static async register({ url, webrtcId, password, bind, prefix, options = {}, members = {}, socket }) {
        const one = new RoomParticipant();
        Object.assign(one, { url, webrtcId, password, bind, options, socket });
        one.leg = new GeneratedLeg(prefix);
        await one.connect(members);
        return one;
    }

    /** On a new connection; what the network says there is taken care of from then on. */
    async connect(members = {}) {
        this.client = await Endpoint.connect(this.url, 'eirtcw.v1', this.socket);
        const basic = Buffer.from(`${this.webrtcId}:${this.password}`).toString('base64');
        this.auth = await this.client.request('auth', { authType: 'basic', webrtcId: this.webrtcId,
            authorization: `Basic ${basic}`, instanceId: this.instanceId, ...members });
        if (!this.auth.success) throw new Error(JSON.stringify(this.auth));
        this.instanceId = this.auth.instanceId ?? this.instanceId;
        void this.#serve(this.client);
    }

    /** Asks for the room; the response as it came, a refusal too. */
    async ask(room, members = {}) {
        const asked = await this.client.request('msetup', { resourceId: room,
            preOfferDescription: preOffer(), ...members });
        if (asked.success) this.mediaSessionId = asked.mediaSessionId;
        return asked;
    }

    /** Comes into the room; resolves when its first negotiation is done. */
    async join(room, members) {
        const asked = await this.ask(room, members);
        if (!asked.success) throw new Error(JSON.stringify(asked.problemDetails));
        if (asked.sdpOffer) await this.#answer(asked); // else it comes from another network
        return this;
    }

    /** Calls somebody; resolves when both sides have answered. */
    async call(other, members) {
        const from = [this.offers.length, other.offers.length];
        const asked = await this.ask(other.webrtcId, members);
        if (!asked.success) throw new Error(JSON.stringify(asked.problemDetails));
        await this.until(() => this.offers.length > from[0] && other.offers.length > from[1]);
        other.mediaSessionId = other.requests.findLast(({ method }) => method === 'msetup').mediaSessionId;
    }

    /** Leaves, and may join again as somebody new. */
    async leave() {
        const { mediaSessionId } = this;
        this.mediaSessionId = undefined;
        this.participants = [];
        await this.leg.close();
        this.leg = new GeneratedLeg();
        this.#medias = 0;
        return this.client.request('mdisc', { mediaSessionId, cause: 'NORMAL' });
    }

    /** Waits until `condition(this)` gives something true, and gives that. */
    async until(condition, seconds = 30) {
        const end = Date.now() + seconds * 1000;
        for (;;) {
            const result = await condition(this);
            if (result) return result;
            if (Date.now() > end)
                throw new Error(`${this.webrtcId}: not in time: ${condition}\n${JSON.stringify(this.participants)}`);
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    }

    /** Waits until exactly these others are told, each in as many m-lines of this side if said. */
    sees(others, mids) {
        const ids = (list) => JSON.stringify(list.map((one) => one.participantId).sort());
        return this.until(({ participants }) => ids(participants) === ids(others) &&
            participants.every((one) => mids === undefined || one.mids.length === mids));
    }

    /** Waits until media of so many streams of a kind arrive, more of each than at the call. */
    async receives(kind, count, seconds = 30) {
        const of = (stats) => stats.receive.filter((one) => one.kind === kind);
        const before = new Map(of(await this.leg.stats()).map((one) => [one.mid, one.packets]));
        return this.leg.until((stats) =>
            of(stats).filter((one) => one.packets > (before.get(one.mid) ?? 0) + 5).length >= count, seconds);
    }

    async close() {
        await this.leg.close();
        await this.client.close();
    }

    async #serve(client) {
        for (;;) {
            const request = await Promise.race([client.expectAny(), client.closed]);
            if (request.code !== undefined) return;
            this.requests.push(request);
            this.#hear(request);
            if (request.sdpOffer && this.ignores) continue;
            if (request.sdpOffer && this.refuses) {
                request.fail(422, 'SDP_NOT_ACCEPTABLE');
                continue;
            }
            request.reply(request.mediaSessionId ? { mediaSessionId: request.mediaSessionId } : {});
            if (request.sdpOffer) await this.#answer(request).catch((error) => { this.fault = error; });
        }
    }

    #hear({ method, mediaSessionId, participants, participantId, activeSpeaker, ...rest }) {
        if (!this.mediaSessionId || mediaSessionId !== this.mediaSessionId) return;
        if (method === 'mdisc') this.ended = rest;
        if (method !== 'mupdate') return;
        this.participants = participants ?? this.participants;
        this.participantId = participantId ?? this.participantId;
        this.activeSpeaker = activeSpeaker ?? this.activeSpeaker;
    }

    async #answer({ mediaSessionId, sdpOffer, offerId }) {
        const kinds = kindsOf(sdpOffer);
        this.told = new Map([...sdpOffer.matchAll(/^a=mid:(\S+)/gm)].map(([, mid], index) => [mid, kinds[index]]));
        const first = this.#medias === 0;
        // Of a leg that answers for the first time all media are there; later ones are added.
        for (; !first && this.#medias < kinds.length; this.#medias++)
            await this.leg.command(kinds[this.#medias] === 'audio' ? 'addAudio' : 'addVideo');
        this.#medias = kinds.length;
        const sdpAnswer = await this.leg.answer(sdpOffer, first
            ? { bind: this.bind, lines: kinds, ...this.options } : {});
        const answered = await this.client.request('mupdate', { mediaSessionId, sdpAnswer, offerId });
        this.offers.push({ sdpOffer, offerId, answered });
        if (!answered.success) throw new Error(JSON.stringify(answered.problemDetails));
    }
}
