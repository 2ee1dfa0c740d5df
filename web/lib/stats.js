// SPDX-License-Identifier: Apache-2.0
// From the many rows of getStats to the few figures that a person asks for: the path, its ciphers,
// and per medium codec, bitrate, frames, loss, jitter, round trip. Rates need two readings, so the
// result carries what the next call needs.

/**
 * @param {RTCStatsReport} report
 * @param {import('./index.js').StatsSummary} [previous]
 * @returns {import('./index.js').StatsSummary}
 */
export function summarizeStats(report, previous) {
    /** @type {Map<string, any>} */
    const rows = new Map();
    report.forEach((row) => rows.set(row.id, row));
    const all = [...rows.values()];
    const transport = all.find((row) => row.type === 'transport');
    const pair =
        rows.get(transport?.selectedCandidatePairId) ??
        all.find(
            (row) =>
                row.type === 'candidate-pair' &&
                (row.selected || (row.nominated && row.state === 'succeeded')),
        );
    const media = all
        .filter((row) => row.type === 'inbound-rtp' || row.type === 'outbound-rtp')
        .map((row) => medium(row, rows, all, previous));
    return {
        path: pair && {
            local: address(rows.get(pair.localCandidateId)),
            remote: address(rows.get(pair.remoteCandidateId)),
            roundTrip: pair.currentRoundTripTime,
            availableOutgoingBitrate: pair.availableOutgoingBitrate,
        },
        dtls: transport && {
            state: transport.dtlsState,
            version: tlsVersion(transport.tlsVersion),
            cipher: transport.dtlsCipher,
            srtpCipher: transport.srtpCipher,
            role: transport.dtlsRole,
        },
        media: media.sort((a, b) => order(a) - order(b)),
    };
}

/**
 * @param {any} row
 * @param {Map<string, any>} rows
 * @param {any[]} all
 * @param {import('./index.js').StatsSummary} [previous]
 * @returns {import('./index.js').MediaSummary}
 */
function medium(row, rows, all, previous) {
    const receives = row.type === 'inbound-rtp';
    // What the far end of this leg says about what we send.
    const report = receives
        ? undefined
        : all.find((other) => other.type === 'remote-inbound-rtp' && other.localId === row.id);
    const bytes = (receives ? row.bytesReceived : row.bytesSent) ?? 0;
    const packets = (receives ? row.packetsReceived : row.packetsSent) ?? 0;
    const lost = Math.max(0, (receives ? row.packetsLost : report?.packetsLost) ?? 0);
    const before = previous?.media.find((one) => one.id === row.id);
    const seconds = before ? (row.timestamp - before.at) / 1000 : 0;
    const codec = rows.get(row.codecId);
    return {
        id: row.id,
        at: row.timestamp,
        kind: row.kind,
        direction: receives ? 'receive' : 'send',
        mid: row.mid,
        rid: row.rid,
        active: row.active,
        limited: row.qualityLimitationReason,
        codec: codec?.mimeType?.replace(/^\w+\//, ''),
        bytes,
        packets,
        lost,
        bitrate:
            before && seconds > 0 ? Math.max(0, ((bytes - before.bytes) * 8) / seconds) : undefined,
        lossShare: share(lost, packets, before, receives),
        jitter: receives ? row.jitter : report?.jitter,
        roundTrip: report?.roundTripTime,
        width: row.frameWidth,
        height: row.frameHeight,
        fps: row.framesPerSecond,
        frames: receives ? row.framesDecoded : row.framesEncoded,
        framesDropped: row.framesDropped,
        freezes: row.freezeCount,
        keyFrames: receives ? row.keyFramesDecoded : row.keyFramesEncoded,
        concealedSamples: row.concealedSamples,
        totalSamples: row.totalSamplesReceived,
        audioLevel: row.audioLevel,
        repaired: receives ? row.retransmittedPacketsReceived : row.retransmittedPacketsSent,
        nack: row.nackCount,
        pli: row.pliCount,
    };
}

/**
 * Share of packets lost since the last reading (0 to 1).
 * @param {number} lost
 * @param {number} packets
 * @param {import('./index.js').MediaSummary | undefined} before
 * @param {boolean} receives a sender's packets include those that got lost
 */
function share(lost, packets, before, receives) {
    const newLost = Math.max(0, lost - (before?.lost ?? 0));
    const newPackets = Math.max(0, packets - (before?.packets ?? 0));
    const sent = receives ? newPackets + newLost : newPackets;
    return sent > 0 ? Math.min(1, newLost / sent) : 0;
}

/** @param {any} candidate */
function address(candidate) {
    return (
        candidate && {
            address: candidate.address ?? candidate.ip,
            port: candidate.port,
            protocol: candidate.protocol,
            type: candidate.candidateType,
        }
    );
}

/**
 * getStats tells the version as four hex digits: FEFD is DTLS 1.2, FEFC 1.3.
 * @param {string | undefined} hex
 */
function tlsVersion(hex) {
    if (!hex) return undefined;
    return { FEFF: '1.0', FEFD: '1.2', FEFC: '1.3' }[hex.toUpperCase()] ?? hex;
}

/** @param {import('./index.js').MediaSummary} one */
function order(one) {
    return (one.kind === 'audio' ? 0 : 2) + (one.direction === 'send' ? 0 : 1);
}
