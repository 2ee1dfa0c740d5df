// SPDX-License-Identifier: Apache-2.0
// Data channels of two browsers through the media centre, against the control link alone: what a
// channel is and every kind of message arrives as it was, a file while pictures run, the gate, a bad
// network, and channels that are added to a running call and taken away.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch } from '../support/browser.mjs';
import { serveEmptyPage } from '../support/empty-page.mjs';
import { Link } from '../support/link.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const EVENTS = ['iceConnected', 'iceFailed', 'consentExpired', 'dtlsConnected', 'dtlsFailed', 'mediaGated'];
const ENABLED = [{ mid: '*', flowStatus: 'ENABLED' }];
let wmcf, link, browser, site;
before(async () => {
  wmcf = await Wmcf.start();
  link = await ControlLink.open(wmcf.url);
  site = await serveEmptyPage();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  site?.close();
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

class Page {
  static async open(where = browser, url = site.url) {
    const one = new Page();
    one.page = await where.newPage();
    await one.page.goto(url);
    await one.page.evaluate(() => {
      window.pc = new RTCPeerConnection();
      window.described = async () => {
        if (pc.iceGatheringState !== 'complete')
          await new Promise((done) => pc.addEventListener('icegatheringstatechange',
            () => pc.iceGatheringState === 'complete' && done()));
        return pc.localDescription.sdp;
      };
      window.offer = async () => { await pc.setLocalDescription(); return described(); };
      window.accept = (sdp) => pc.setRemoteDescription({ type: 'answer', sdp });
      window.reply = async (sdp) => {
        await pc.setRemoteDescription({ type: 'offer', sdp });
        await pc.setLocalDescription();
        return described();
      };
      // Channels by label, and what came on each.
      window.channels = {};
      window.got = {};
      window.watch = (channel) => {
        const { label } = channel;
        channel.binaryType = 'arraybuffer';
        channels[label] = channel;
        got[label] ??= [];
        channel.onmessage = ({ data }) => {
          got[label].push(typeof data === 'string' ? data : Array.from(new Uint8Array(data)));
        };
      };
      pc.ondatachannel = ({ channel }) => watch(channel);
      window.create = (label, options) => { watch(pc.createDataChannel(label, options)); };
      window.opened = (label) => new Promise((done) => {
        const look = () => (channels[label]?.readyState === 'open' ? done() : setTimeout(look, 20));
        look();
      });
      window.came = (label, n) => new Promise((done) => {
        const look = () => (got[label]?.length >= n ? done(got[label]) : setTimeout(look, 20));
        look();
      });
      window.ended = (label) => new Promise((done) => {
        const look = () => (channels[label]?.readyState === 'closed' ? done() : setTimeout(look, 20));
        look();
      });
      window.frames = async () => [...(await pc.getStats()).values()]
        .filter((s) => s.type === 'inbound-rtp' && s.kind === 'video')
        .reduce((n, s) => n + s.framesDecoded, 0);
    });
    return one;
  }

  run(fn, arg) { return this.page.evaluate(fn, arg); }

  async add(members) {
    const added = await link.request('add', { events: EVENTS, mediaPolicy: ENABLED,
      sdpOffer: await this.run(() => offer()), ...members });
    assert.ok(added.success, JSON.stringify(added.problemDetails));
    Object.assign(this, { contextId: added.contextId, terminationId: added.terminationId,
      medias: added.medias, answer: added.sdpAnswer });
    await this.run((sdp) => accept(sdp), added.sdpAnswer);
  }

  async modify(members) {
    const reply = await link.request('modify',
      { contextId: this.contextId, terminationId: this.terminationId, ...members });
    assert.equal(reply.success, true, JSON.stringify(reply.problemDetails));
    return reply;
  }

  async offer() {
    const reply = await this.modify({ sdpOffer: await this.run(() => offer()) });
    await this.run((sdp) => accept(sdp), reply.sdpAnswer);
    return reply;
  }

  event(event) {
    return link.event((m) => m.terminationId === this.terminationId && m.event === event, 20);
  }

  async statistics() {
    const { terminations } = await link.request('audit', { contextId: this.contextId,
      terminationId: this.terminationId, what: ['state', 'statistics'] });
    return terminations[0];
  }

  get data() { return this.medias.find((m) => m.mediaType === 'application')?.mid; }
}

const route = (from, fromMid, to, toMid) => ({ from: { terminationId: from.terminationId, mid: fromMid },
  to: { terminationId: to.terminationId, mid: toMid } });
const both = (a, aMid, b, bMid) => [route(a, aMid, b, bMid), route(b, bMid, a, aMid)];

async function pair(prepare, far) {
  const [a, b] = [await Page.open(), far ? await Page.open(far, 'about:blank') : await Page.open()];
  for (const one of [a, b]) {
    await one.run(prepare);
    await one.add({ contextId: a.contextId });
  }
  const mids = a.medias.map((m) => m.mid);
  await a.modify({ routes: mids.flatMap((mid) => both(a, mid, b, mid)) });
  await Promise.all([a.event('dtlsConnected'), b.event('dtlsConnected')]);
  return [a, b];
}

/**
 * A channel that @from opens to @to. Open at both: each learns of it in its own time, and until then
 * a browser refuses to send.
 */
async function channel(from, to, label, options) {
  await from.run(([l, o]) => create(l, o), [label, options]);
  await Promise.all([from, to].map((one) => one.run((l) => opened(l), label)));
}

/** Octets of memory that the media centre has. */
const resident = () =>
  1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${wmcf.process.pid}/status`, 'utf8'))[1]);

async function end(a, b) {
  await link.request('subtract', { contextId: a.contextId });
  await a.page.close();
  await b.page.close();
}

test('channels and messages arrive as they were made', { timeout: 180_000 }, async () => {
  const [a, b] = await pair(() => create('first'));
  assert.match(a.answer, /m=application \d+ UDP\/DTLS\/SCTP webrtc-datachannel\r\n/);
  assert.match(a.answer, /a=sctp-port:5000\r\n/);
  assert.match(a.answer, /a=max-message-size:65536\r\n/);
  // Each side's "first" has opened a twin on the other.
  await Promise.all([a.run(() => opened('first')), b.run(() => opened('first'))]);
  const rows = [
    ['ordered', { protocol: 'a protocol' }],
    ['ünordered ✓', { ordered: false }],
    ['lifetime', { maxPacketLifeTime: 500 }],
    ['retransmits', { ordered: false, maxRetransmits: 2, protocol: '' }],
  ];
  for (const [i, [label, options]] of rows.entries()) {
    const [from, to] = i % 2 ? [b, a] : [a, b];
    await channel(from, to, label, options);
    const described = await to.run((l) => {
      const { ordered, protocol, maxPacketLifeTime, maxRetransmits, negotiated } = channels[l];
      return { ordered, protocol, maxPacketLifeTime, maxRetransmits, negotiated };
    }, label);
    assert.deepEqual(described, { ordered: true, protocol: '', maxPacketLifeTime: null,
      maxRetransmits: null, negotiated: false, ...options });
    for (const [x, y] of [[from, to], [to, from]]) {
      await x.run((l) => {
        const channel = channels[l];
        channel.send('hello ✓');
        channel.send('');
        channel.send('a\0b');
        channel.send(new Uint8Array([0, 1, 255]));
        channel.send(new Uint8Array(0));
      }, label);
      const messages = await y.run((l) => came(l, 5), label);
      const expected = ['hello ✓', '', 'a\0b', [0, 1, 255], []];
      if (options.ordered !== false) assert.deepEqual(messages, expected);
      else assert.deepEqual(messages.map(String).sort(), expected.map(String).sort());
      await y.run((l) => { got[l].length = 0; }, label);
    }
  }
  // The longest message, and one that is too long is refused by the browser itself.
  await a.run(() => channels.ordered.send(new Uint8Array(65536).map((_, i) => i * 7)));
  const [longest] = await b.run(() => came('ordered', 1));
  assert.equal(longest.length, 65536);
  assert.ok(longest.every((octet, i) => octet === (i * 7) % 256));
  assert.equal(await a.run(() => {
    try { channels.ordered.send(new Uint8Array(65537)); } catch (error) { return error.name; }
  }), 'TypeError');
  // Closed by one, it is closed at the other, and the others live on.
  await a.run(() => channels.ordered.close());
  await b.run(() => ended('ordered'));
  await b.run(() => channels['ünordered ✓'].send('still here'));
  await a.run(() => came('ünordered ✓', 1));
  // The media centre closes its own end to either side when that side has.
  let told, media;
  do {
    told = await a.statistics();
    media = told.statistics.find((m) => m.mid === a.data);
  } while (media.channelsOpened === media.channels);
  assert.equal(media.mediaType, 'application');
  assert.ok(media.channels >= 4 && media.channelsOpened > media.channels, JSON.stringify(media));
  assert.ok(media.uplink.messages >= 21 && media.downlink.messages >= 20, JSON.stringify(media));
  assert.ok(media.uplink.messageOctets > 65536, JSON.stringify(media));
  await end(a, b);
});

test('a file of 10 MB while pictures run', { timeout: 180_000 }, async () => {
  const [a, b] = await pair(async () => {
    const media = await navigator.mediaDevices.getUserMedia({ video: true });
    pc.addTrack(media.getVideoTracks()[0], media);
    create('file');
  });
  await a.run(() => opened('file'));
  const pictures = await b.run(() => frames());
  await channel(a, b, 'big');
  await b.run(() => {
    window.octets = 0;
    window.parts = [];
    channels.big.onmessage = ({ data }) => { parts.push(data); octets += data.byteLength; };
  });
  const began = Date.now();
  const sent = await a.run(async () => {
    const size = 10_000_000, part = 16384;
    const data = new Uint8Array(size);
    for (let at = 0; at < size; at += 65536) crypto.getRandomValues(data.subarray(at, at + 65536));
    const channel = channels.big;
    channel.bufferedAmountLowThreshold = 256 * 1024;
    for (let at = 0; at < size; at += part) {
      if (channel.bufferedAmount > 1024 * 1024)
        await new Promise((done) => { channel.onbufferedamountlow = done; });
      channel.send(data.subarray(at, at + part));
    }
    const digest = await crypto.subtle.digest('SHA-256', data);
    return Array.from(new Uint8Array(digest));
  });
  const received = await b.run(async () => {
    while (octets < 10_000_000) await new Promise((done) => setTimeout(done, 20));
    const digest = await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer());
    return Array.from(new Uint8Array(digest));
  });
  const seconds = (Date.now() - began) / 1000;
  console.log(`# 10 MB in ${seconds.toFixed(2)} s, ${(80 / seconds).toFixed(0)} Mb/s`);
  assert.deepEqual(received, sent);
  await b.run(async (before) => {
    while (await frames() <= before) await new Promise((done) => setTimeout(done, 20));
  }, pictures);
  await end(a, b);
});

test('a closed gate lets no message pass, and the leg lives on', { timeout: 180_000 }, async () => {
  const [a, b] = await pair(() => create('gate'));
  await a.run(() => opened('gate'));
  await channel(a, b, 'x');
  await a.run(() => channels.x.send('before'));
  await b.run(() => came('x', 1));
  const close = (flowStatus) => a.modify({ mediaPolicy: [{ mid: a.data, flowStatus }] });
  await close('DISABLED');
  await a.run(() => channels.x.send('during'));
  await b.run(() => channels.x.send('back'));
  await a.event('mediaGated');
  await sleep(6000);
  assert.deepEqual(await b.run(() => got.x), ['before']);
  assert.deepEqual(await a.run(() => got.x), []);
  assert.deepEqual(await a.run(() => [pc.connectionState, channels.x.readyState]), ['connected', 'open']);
  const told = await a.statistics();
  assert.equal(told.state, 'connected');
  const media = told.statistics.find((m) => m.mid === a.data);
  assert.ok(media.uplink.gateDiscarded > 0 && media.downlink.gateDiscarded > 0, JSON.stringify(media));
  await close('ENABLED');
  assert.deepEqual(await b.run(() => came('x', 2)), ['before', 'during']);
  assert.deepEqual(await a.run(() => came('x', 1)), ['back']);
  await end(a, b);
});

test('a receiver that takes nothing makes the sender wait, and nothing is lost', { timeout: 180_000 }, async () => {
  const [a, b] = await pair(() => create('slow'));
  await a.run(() => opened('slow'));
  for (const label of ['bulk', 'other']) await channel(a, b, label);
  await b.run(() => {
    window.octets = 0;
    window.sum = 0;
    channels.bulk.onmessage = ({ data }) => {
      octets += data.byteLength;
      for (const octet of new Uint8Array(data)) sum = (sum * 31 + octet) % 1000000007;
    };
  });
  // Two others, who must not notice.
  const [c, d] = await pair(() => create('aside'));
  await c.run(() => opened('aside'));
  await channel(c, d, 'talk');
  const memory = resident();
  await b.modify({ mediaPolicy: [{ mid: b.data, flowStatus: 'ENABLED-UPLINK' }] });
  const sent = await a.run(() => {
    let expected = 0;
    for (let i = 0; i < 250; i++) {
      const part = new Uint8Array(16384).map((_, k) => i + k * 3);
      for (const octet of part) expected = (expected * 31 + octet) % 1000000007;
      channels.bulk.send(part);
    }
    return expected;
  });
  // Some is under way and in the media centre; the rest waits in the browser.
  let waiting;
  for (let before = -1; ; before = waiting) {
    waiting = await a.run(() => channels.bulk.bufferedAmount);
    if (waiting === before) break;
    await sleep(400);
  }
  assert.equal(await a.run(() => channels.bulk.readyState), 'open');
  assert.ok(waiting > 500_000, `${waiting} octets wait`);
  const grown = resident() - memory;
  // Of 4 MB that were sent.
  if (!process.env.SANITIZED) assert.ok(grown < 6e6, `the media centre has grown by ${grown} octets`);
  await c.run(() => { for (let i = 0; i < 50; i++) channels.talk.send(`${i}`); });
  assert.equal((await d.run(() => came('talk', 50))).length, 50);
  await b.run(() => channels.other.send('the other way, too'));
  assert.deepEqual(await a.run(() => came('other', 1)), ['the other way, too']);
  const media = (await a.statistics()).statistics.find((m) => m.mid === a.data);
  assert.equal(media.channels, 4); // "slow" of both, "bulk", "other"
  await b.modify({ mediaPolicy: [{ mid: b.data, flowStatus: 'ENABLED' }] });
  const received = await b.run(async () => {
    while (octets < 250 * 16384) await new Promise((done) => setTimeout(done, 20));
    return sum;
  });
  assert.equal(received, sent);
  await a.run(() => channels.other.send('still open'));
  assert.deepEqual(await b.run(() => came('other', 1)), ['still open']);
  await end(a, b);
  await end(c, d);
});

test('an unordered, unreliable channel keeps flowing at 10 % loss', { timeout: 180_000 }, async (t) => {
  const bad = await Link.start({ seed: 5 });
  const far = await launch({ executablePath: bad.wrapper(wmcf.folder) });
  const [a, b] = await pair(() => create('first'), far);
  await channel(a, b, 'loose', { ordered: false, maxRetransmits: 0 });
  await channel(a, b, 'strict');
  assert.deepEqual(await b.run(() => [channels.loose.ordered, channels.loose.maxRetransmits]), [false, 0]);
  await bad.set('both', { loss: 0.1, delayMs: 10, jitterMs: 5 });
  await b.run(() => {
    // The longest pause, by a clock that stands still when the page does.
    const TICK = 20;
    window.pause = 0;
    let since = 0, ticked = performance.now();
    setInterval(() => {
      const now = performance.now();
      since += Math.min(now - ticked, 2 * TICK);
      ticked = now;
    }, TICK);
    channels.loose.addEventListener('message', () => {
      pause = Math.max(pause, since);
      since = 0;
    });
  });
  const SENT = 400;
  await a.run((n) => new Promise((done) => {
    let i = 0;
    const timer = setInterval(() => {
      channels.loose.send(`${i} ${'x'.repeat(200)}`);
      if (i % 10 === 0) channels.strict.send(`${i}`);
      if (++i === n) { clearInterval(timer); done(); }
    }, 10);
  }), SENT);
  // What is reliable comes whole and in order, and after it nothing is under way any more.
  const strict = await b.run((n) => came('strict', n), SENT / 10);
  assert.deepEqual(strict, Array.from({ length: SENT / 10 }, (_, i) => `${i * 10}`));
  await sleep(500);
  const { numbers, gap } = await b.run(() => ({
    numbers: got.loose.map((text) => parseInt(text, 10)),
    gap: pause,
  }));
  const { down } = await bad.counters();
  t.diagnostic(`${numbers.length} of ${SENT} came, ${down.lost} of ${down.packets} packets were lost, ` +
    `the longest pause ${gap.toFixed(0)} ms`);
  assert.equal(new Set(numbers).size, numbers.length, 'none comes twice');
  assert.ok(down.lost > 10, `${down.lost} packets lost`);
  assert.ok(numbers.length > SENT * 0.7 && numbers.length < SENT, `${numbers.length} of ${SENT} came`);
  assert.ok(gap < 2000, `a pause of ${gap} ms`);
  await end(a, b);
  await far.close();
  bad.stop();
});

test('channels are added to a running call, and taken away', { timeout: 180_000 }, async () => {
  const [a, b] = await pair(async () => {
    const media = await navigator.mediaDevices.getUserMedia({ audio: true });
    pc.addTrack(media.getAudioTracks()[0], media);
  });
  for (const one of [a, b]) {
    await one.run(() => create('later'));
    one.medias = (await one.offer()).medias;
    assert.ok(one.data);
  }
  await a.modify({ routes: both(a, a.data, b, b.data) });
  await a.run(async () => { create('late'); await opened('late'); channels.late.send('there'); });
  await b.run(() => opened('late'));
  assert.deepEqual(await b.run(() => came('late', 1)), ['there']);
  // The media centre takes it away: the m-line is rejected, sound goes on.
  const { sdpOffer } = await a.modify({ offerTemplate: { bundle: true,
    medias: [{ mid: '0', mediaType: 'audio', direction: 'sendrecv' }] } });
  assert.match(sdpOffer, /m=application 0 /);
  await a.modify({ sdpAnswer: await a.run((sdp) => reply(sdp), sdpOffer) });
  await b.run(() => ended('late'));
  assert.equal(await a.run(() => pc.connectionState), 'connected');
  await end(a, b);
});
