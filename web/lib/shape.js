// SPDX-License-Identifier: Apache-2.0
// Brings a connection's transceivers to what is wanted: before an answer within what was offered,
// before an offer of our own without that limit. m-lines are never removed or reordered (protocol
// A6): what is no longer wanted becomes inactive, and is taken first when its kind is wanted again.

import { mediaDirections } from './sdp.js';
import { shapeEncodings } from './simulcast.js';
import { KINDS, direction, receives, sends } from './wants.js';

const DATA_ID = 1000; // within what every SCTP stack has, beyond what is given out first

/**
 * Before the answer to an applied offer. Each m-line on which the other side wants to receive gets a
 * track of its kind; a track already on the connection stays where it is.
 * @param {RTCPeerConnection} connection
 * @param {import('./index.js').Wants} wants
 * @param {MediaStream} [stream] the msid that our tracks share
 */
export async function shapeAnswer(connection, wants, stream) {
    const offered = mediaDirections(connection.remoteDescription?.sdp ?? '');
    dropOrphans(connection);
    await dropTracks(connection, wants);
    for (const transceiver of connection.getTransceivers()) {
        const told = offered.get(transceiver.mid ?? '');
        if (!told || transceiver.direction === 'stopped') continue;
        if (receives(told) && !transceiver.sender.track)
            await place(transceiver, unplaced(connection, wants), stream);
        transceiver.direction = direction(
            receives(told) && Boolean(transceiver.sender.track),
            sends(told) && wantsToReceive(transceiver, wants),
        );
        prefer(transceiver, wants);
        await shapeEncodings(transceiver.sender, wants.simulcast);
    }
}

/**
 * Before an offer of our own, or a pre-offer.
 * @param {RTCPeerConnection} connection
 * @param {import('./index.js').Wants} wants
 * @param {object} [options]
 * @param {MediaStream} [options.stream]
 * @param {string[]} [options.asks] kinds for which there shall be an m-line, even if only to receive
 */
export async function shapeOffer(connection, wants, { stream, asks = [] } = {}) {
    await dropTracks(connection, wants);
    for (const transceiver of connection.getTransceivers()) {
        if (transceiver.direction === 'stopped') continue;
        if (!transceiver.sender.track)
            await place(transceiver, unplaced(connection, wants), stream);
    }
    for (const kind of KINDS) {
        for (const track of unplaced(connection, wants).filter((one) => one.kind === kind))
            connection.addTransceiver(track, stream ? { streams: [stream] } : {});
        const there = connection
            .getTransceivers()
            .some((one) => one.receiver.track.kind === kind && one.direction !== 'stopped');
        if (!there && asks.includes(kind))
            connection.addTransceiver(kind, { direction: 'recvonly' });
    }
    if (wants.data) openData(connection);
    for (const transceiver of connection.getTransceivers()) {
        if (transceiver.direction === 'stopped') continue;
        transceiver.direction = direction(
            Boolean(transceiver.sender.track),
            wantsToReceive(transceiver, wants),
        );
        prefer(transceiver, wants);
        await shapeEncodings(transceiver.sender, wants.simulcast);
    }
}

/** @type {WeakSet<RTCPeerConnection>} */
const opened = new WeakSet();

/**
 * An m-line comes of a channel alone. This one is agreed on beforehand, so it is told to nobody.
 * @param {RTCPeerConnection} connection
 */
function openData(connection) {
    if (opened.has(connection) || connection.sctp) return;
    opened.add(connection);
    connection.createDataChannel('', { negotiated: true, id: DATA_ID });
}

/**
 * A transceiver of an own offer that was rolled back: no offer of the other side ever takes it, so
 * its track would be lost to the m-line that the other side brings.
 * @param {RTCPeerConnection} connection
 */
function dropOrphans(connection) {
    for (const transceiver of connection.getTransceivers())
        if (transceiver.mid === null && transceiver.direction !== 'stopped') transceiver.stop();
}

/**
 * On hold nothing is sent at once, before the other side has agreed.
 * @param {RTCPeerConnection} connection
 * @param {import('./index.js').Wants} wants
 */
async function dropTracks(connection, { tracks, held }) {
    for (const { sender } of connection.getTransceivers())
        if (sender.track && (held || !tracks.includes(sender.track)))
            await sender.replaceTrack(null);
}

/**
 * @param {RTCPeerConnection} connection
 * @param {import('./index.js').Wants} wants
 */
function unplaced(connection, { tracks, held }) {
    if (held) return [];
    const placed = connection
        .getTransceivers()
        .filter((one) => one.direction !== 'stopped')
        .map(({ sender }) => sender.track);
    return tracks.filter((track) => !placed.includes(track));
}

/**
 * @param {RTCRtpTransceiver} transceiver
 * @param {MediaStreamTrack[]} tracks
 * @param {MediaStream} [stream]
 */
async function place(transceiver, tracks, stream) {
    const track = tracks.find((one) => one.kind === transceiver.receiver.track.kind);
    if (!track) return;
    if (stream) transceiver.sender.setStreams?.(stream);
    await transceiver.sender.replaceTrack(track);
}

/**
 * @param {RTCRtpTransceiver} transceiver
 * @param {import('./index.js').Wants} wants
 */
function wantsToReceive(transceiver, { receive, held }) {
    return !held && receive.includes(/** @type {any} */ (transceiver.receiver.track.kind));
}

/**
 * A preference, not a filter: the named codecs first, the others behind them.
 * @param {RTCRtpTransceiver} transceiver
 * @param {import('./index.js').Wants} wants
 */
function prefer(transceiver, { codecs }) {
    const kind = /** @type {'audio' | 'video'} */ (transceiver.receiver.track.kind);
    const names = codecs[kind]?.map((name) => `${kind}/${name}`.toLowerCase());
    const known = names && globalThis.RTCRtpReceiver?.getCapabilities?.(kind)?.codecs;
    if (!names || !known) return;
    const rank = (/** @type {{ mimeType: string }} */ { mimeType }) => {
        const at = names.indexOf(mimeType.toLowerCase());
        return at < 0 ? names.length : at;
    };
    transceiver.setCodecPreferences([...known].sort((one, other) => rank(one) - rank(other)));
}
