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
