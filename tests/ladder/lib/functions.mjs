// SPDX-License-Identifier: Apache-2.0
// The functions of the ladder language: name → (scene, texts of the arguments, evaluate) → value.

import { randomUUID } from 'node:crypto';
import { makeAnswer, makeOffer, readMedias } from './sdp.mjs';

const fold = (base64) => base64.replace(/=+$/, '');

/** The party's part of descriptions; takes the word "trickle" from its arguments. */
function trickling({ sdp }, medias) {
    sdp.trickles = medias[0] === 'trickle';
    if (sdp.trickles) medias.shift();
    return sdp;
}

export const FUNCTIONS = {
    uuid: () => randomUUID(),

    /** basic(A) or basic(A, "another password") */
    basic(scene, [party, password], evaluate) {
        const { id, password: own } = scene.party(party).user;
        if (own === undefined) throw new Error(`no password of ${id} is known`);
        return `Basic ${Buffer.from(`${id}:${password ? evaluate(password) : own}`).toString('base64')}`;
    },

    /** bearer(A) or bearer(A, {"exp": -60}): claims over the good ones; times count from now. */
    bearer(scene, [party, claims], evaluate) {
        return `Bearer ${scene.target.token(scene.party(party).user, claims ? evaluate(claims) : {})}`;
    },

    /** credentials(A): of the kind that $A.authType tells. */
    credentials: (scene, [party]) => scene.target.credentials(scene.party(party)).authorization,

    /** offer(A, audio opus, video VP8 recvonly); offer(A, new ice, …) after an ICE restart; offer(A, trickle, …) */
    offer(scene, [party, ...medias]) {
        const sdp = trickling(scene.party(party), medias);
        if (medias[0] === 'new ice') {
            sdp.restart();
            medias.shift();
        }
        return makeOffer(sdp, readMedias(medias));
    },

    /** answer(A, $A.offer) or answer(A, $A.offer, audio, video rejected) or answer(A, $A.offer, trickle) */
    answer(scene, [party, offer, ...medias], evaluate) {
        const sdp = trickling(scene.party(party), medias);
        return makeAnswer(sdp, evaluate(offer), readMedias(medias));
    },

    /** candidates(A): those that its description has without "trickle" */
    candidates(scene, [party]) {
        const { candidate, ufrag } = scene.party(party).sdp;
        return [{ candidate, sdpMid: '0', usernameFragment: ufrag }];
    },

    /** live-answer(A, $A.offer): of a generated peer that sends and receives media */
    'live-answer': (scene, [party, offer], evaluate) => scene.party(party).liveAnswer(evaluate(offer)),

    /** live-offer(A, audio sendonly, video), live-offer(A, new ice): of the peer that has media already */
    'live-offer'(scene, [party, ...medias]) {
        const newIce = medias[0] === 'new ice';
        return scene.party(party).liveOffer(readMedias(newIce ? medias.slice(1) : medias), newIce);
    },

    repeat: (scene, [text, times], evaluate) => evaluate(text).repeat(evaluate(times)),
    hex: (scene, [octets], evaluate) => Buffer.from(evaluate(octets).replace(/\s/g, ''), 'hex'),
    json: (scene, [value], evaluate) => JSON.stringify(evaluate(value)),
    base64: (scene, [text], evaluate) => fold(Buffer.from(evaluate(text)).toString('base64')),
    upper: (scene, [text], evaluate) => evaluate(text).toUpperCase(),
};
