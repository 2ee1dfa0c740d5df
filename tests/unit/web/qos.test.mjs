// SPDX-License-Identifier: Apache-2.0
// What the network tells of single media (extension qos-report), and what holds then.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QosReports, gateOpen } from '../../../web/lib/qos.js';

const none = { uplink: 0, downlink: 0 };
const drops = (packets, direction, mid = '0') => ({ mid, policingDiscarded: { packets, direction } });

test('a gate closes and opens', () => {
    const reports = new QosReports();
    const closed = { mid: '1', flowStatus: 'ENABLED-DOWNLINK', policingDiscarded: none };
    assert.deepEqual(reports.take([{ mid: '1', flowStatus: 'ENABLED-DOWNLINK' }]), [closed]);
    assert.equal(gateOpen(closed, 'uplink'), false);
    assert.equal(gateOpen(closed, 'downlink'), true);
    const gated = { ...closed, gated: 'uplink' };
    assert.deepEqual(reports.take([{ mid: '1', flowStatus: 'ENABLED-DOWNLINK', gated: 'uplink' }]), [gated]);
    const open = { mid: '1', flowStatus: 'ENABLED', policingDiscarded: none };
    assert.deepEqual(reports.take([{ mid: '1', flowStatus: 'ENABLED' }]), [open]);
    assert.deepEqual(reports.media, [open]);
    assert.equal(gateOpen(open, 'uplink') && gateOpen(undefined, 'downlink'), true);
});

test('drops add up, per direction, beside the gate', () => {
    const reports = new QosReports();
    reports.take([drops(5, 'uplink')], 1000);
    reports.take([drops(7, 'uplink'), drops(1, 'downlink')], 6000);
    assert.deepEqual(reports.media, [
        {
            mid: '0',
            flowStatus: 'ENABLED',
            policingDiscarded: { uplink: 12, downlink: 1 },
            policedAt: 6000,
        },
    ]);
});

test('what is measured takes the place of what was, its members of the right kind alone', () => {
    const reports = new QosReports();
    const downlink = {
        bitrate: 512770, loss: 0.0117, jitter: 0.0051, roundTrip: 0.0412, estimate: 702000,
        layer: { rid: 'm', spatial: 0, temporal: 2, frameWidth: 640, frameHeight: 360 },
        qualityLimitationReason: 'bandwidth',
    };
    const encodings = [{ rid: 'l', bitrate: 149220 }, { rid: 'm', bitrate: 498100, frameWidth: 640, frameHeight: 360 }];
    const [one] = reports.take([{ mid: '1', measured: { seconds: 5, uplink: { bitrate: 9, encodings }, downlink } }], 77);
    assert.deepEqual(one, {
        mid: '1', flowStatus: 'ENABLED', policingDiscarded: none,
        measured: { uplink: { bitrate: 9, encodings }, downlink, at: 77 },
    });
    reports.take([{ mid: '1', measured: { downlink: { bitrate: 'x', loss: -1, jitter: 0.1, layer: 3,
        qualityLimitationReason: 'mood', encodings: Array(9).fill({ rid: 1 }) }, uplink: null } }], 78);
    assert.deepEqual(reports.media[0].measured,
        { uplink: undefined, downlink: { jitter: 0.1, encodings: Array(4).fill({}) }, at: 78 });
    for (const measured of [null, 'x', 3]) assert.deepEqual(reports.take([{ mid: '1', measured }]), []);
});

test('what makes no sense is passed over, and there is an end to how much is kept', () => {
    const reports = new QosReports();
    for (const list of [undefined, 'x', {}, [null, 1, {}, { mid: '' }, drops(0, 'uplink')],
        [drops(1.5, 'uplink'), drops(1, 'sideways'), { mid: '0', flowStatus: 'OPEN' }]])
        assert.deepEqual(reports.take(list), []);
    const many = Array.from({ length: 200 }, (_, i) => ({ mid: `m${i}`, flowStatus: 'DISABLED' }));
    reports.take(many);
    assert.equal(reports.media.length, 64);
});

test('what is given out is a copy', () => {
    const reports = new QosReports();
    reports.take([drops(1, 'uplink')]);
    reports.media[0].policingDiscarded.uplink = 99;
    assert.equal(reports.media[0].policingDiscarded.uplink, 1);
});
