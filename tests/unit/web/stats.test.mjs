// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { summarizeStats } from '../../../web/lib/stats.js';

/** The rows that matter of a Chromium report, at a time in ms. */
function report(timestamp, { bytes = 0, packets = 0, lost = 0, remoteLost = 0 } = {}) {
    const rows = [
        {
            id: 'T',
            type: 'transport',
            selectedCandidatePairId: 'P',
            dtlsState: 'connected',
            tlsVersion: 'FEFD',
            dtlsCipher: 'TLS_X',
            srtpCipher: 'SRTP_Y',
            dtlsRole: 'server',
        },
        {
            id: 'P',
            type: 'candidate-pair',
            localCandidateId: 'L',
            remoteCandidateId: 'R',
            currentRoundTripTime: 0.002,
            availableOutgoingBitrate: 3e6,
        },
        {
            id: 'L',
            type: 'local-candidate',
            address: '10.0.0.1',
            port: 50000,
            protocol: 'udp',
            candidateType: 'host',
        },
        {
            id: 'R',
            type: 'remote-candidate',
            address: '192.0.2.10',
            port: 40000,
            protocol: 'udp',
            candidateType: 'host',
        },
        { id: 'C', type: 'codec', mimeType: 'video/VP8' },
        {
            id: 'I',
            type: 'inbound-rtp',
            kind: 'video',
            mid: '1',
            codecId: 'C',
            bytesReceived: bytes,
            packetsReceived: packets,
            packetsLost: lost,
            jitter: 0.004,
            framesPerSecond: 30,
            framesDecoded: 300,
            frameWidth: 640,
            frameHeight: 360,
        },
        {
            id: 'O',
            type: 'outbound-rtp',
            kind: 'audio',
            mid: '0',
            bytesSent: bytes,
            packetsSent: packets,
        },
        {
            id: 'RI',
            type: 'remote-inbound-rtp',
            localId: 'O',
            packetsLost: remoteLost,
            jitter: 0.001,
            roundTripTime: 0.03,
        },
    ];
    return new Map(rows.map((row) => [row.id, { ...row, timestamp }]));
}

test('path and ciphers', () => {
    const { path, dtls } = summarizeStats(report(0));
    assert.deepEqual(path.remote, {
        address: '192.0.2.10',
        port: 40000,
        protocol: 'udp',
        type: 'host',
    });
    assert.equal(path.roundTrip, 0.002);
    assert.deepEqual(dtls, {
        state: 'connected',
        version: '1.2',
        cipher: 'TLS_X',
        srtpCipher: 'SRTP_Y',
        role: 'server',
    });
});

test('media: sound before picture, sent before received; codec without its kind', () => {
    const { media } = summarizeStats(report(0));
    assert.deepEqual(
        media.map((one) => [one.kind, one.direction]),
        [
            ['audio', 'send'],
            ['video', 'receive'],
        ],
    );
    assert.equal(media[1].codec, 'VP8');
    assert.equal(media[1].frames, 300);
    assert.equal(media[0].roundTrip, 0.03);
    assert.equal(media[0].jitter, 0.001);
});

test('rates and loss come from two readings', () => {
    const first = summarizeStats(report(1000, { bytes: 1000, packets: 100, lost: 10 }));
    assert.equal(first.media[1].bitrate, undefined);
    const second = summarizeStats(
        report(3000, { bytes: 26_000, packets: 190, lost: 20, remoteLost: 9 }),
        first,
    );
    assert.equal(second.media[1].bitrate, 100_000);
    assert.equal(second.media[1].lossShare, 0.1, '10 of 100 on their way here');
    assert.equal(second.media[0].lossShare, 0.1, '9 of 90 sent');
});

test('counters that go back, and empty reports', () => {
    const first = summarizeStats(report(1000, { bytes: 5000, packets: 100, lost: 5 }));
    const second = summarizeStats(report(2000, { bytes: 0, packets: 0, lost: -3 }), first);
    assert.equal(second.media[1].bitrate, 0);
    assert.equal(second.media[1].lost, 0);
    assert.equal(second.media[1].lossShare, 0);
    assert.deepEqual(summarizeStats(new Map()), { path: undefined, dtls: undefined, media: [] });
});

test('one row for each size of a picture', () => {
    const sizes = ['l', 'h'].map((rid, index) => [
        rid,
        { id: rid, type: 'outbound-rtp', kind: 'video', mid: '1', rid, active: index === 0,
            qualityLimitationReason: 'bandwidth', retransmittedPacketsSent: 3, timestamp: 0 },
    ]);
    const { media } = summarizeStats(new Map(sizes));
    assert.deepEqual(
        media.map((one) => [one.rid, one.active, one.limited, one.repaired]),
        [['l', true, 'bandwidth', 3], ['h', false, 'bandwidth', 3]],
    );
});
