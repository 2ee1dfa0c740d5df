// SPDX-License-Identifier: Apache-2.0
// An hour of a room of eight: every few seconds somebody leaves and comes again, another one stops its
// picture and takes it up, and pictures are shown in other sizes, so that layers change. Half of them send
// three encodings and have congestion control, some have Cryptex, two lose a packet in thirty either way. Beside
// the room two browsers call each other again and again and send something over a data channel. What both
// programs hold afterwards is what they held after the first minutes. MINUTES: another length. The figures
// of every five minutes are told, in kilobytes: `rss` is judged, less `buffers`, in which the most packets of
// two seconds that ever were there had room; `anon` is what of it is no file.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../support/browser.mjs';
import { RoomParticipant, preOffer } from '../support/room-participant.mjs';
import { Stack, USERS as BROWSERS, pause, until } from '../support/stack.mjs';

const MINUTES = Number(process.env.MINUTES ?? 60);
const NAMES = ['ann', 'bea', 'cem', 'dan', 'eve', 'flo', 'gus', 'hal'];
const USERS = Object.fromEntries(NAMES.map((name) => [`${name}@example.org`, `${name}-password`]));
const ROOM = 'room/hour@example.org';
// One ring of a history and one batch of records are worth this much; an hour's leak is more.
const GROWTH_KB = 4096;
const LOOKS = 12;

let stack, browser;
const all = [];
before(async () => {
  // Messages are not kept: they would fill the disk.
  [stack, browser] = await Promise.all([
    Stack.start({ conf: '[store]\nfile = wsf.db\n[room "any"]\nnames = *\nlast_n = 4\n',
      users: { ...BROWSERS, ...USERS }, wsf: ['wsf.trace_file=/dev/null'],
      wmcf: ['control.trace_file=/dev/null', 'media.congestion_control=true'] }),
    launch()]);
});
after(async () => {
  await browser?.close();
  await Promise.all(all.map((one) => one.close()));
  await stack?.stop();
});

const others = (one) => all.filter((other) => other !== one);
const told = () => Promise.all(all.map((one) => one.sees(others(one))));

async function round(number) {
  const [goes, changes, shows] = [0, 3, 5].map((offset) => all[(number + offset) % all.length]);
  note(await goes.leg.stats());
  await goes.leave();
  await Promise.all(others(goes).map((one) => one.sees(others(one).filter((other) => other !== goes))));
  const wish = (video) => changes.client.request('mupdate', { mediaSessionId: changes.mediaSessionId,
    preOfferDescription: preOffer({ video }) });
  await changes.until(async () => (await wish('recvonly')).success); // glare is told to try again
  await shows.client.request('view.example.org', { mediaSessionId: shows.mediaSessionId,
    userData: { views: [{ mid: '1', width: 320 << (number % 3), height: 180 << (number % 3) }] } });
  await goes.join(ROOM);
  await told();
  await changes.until(async () => (await wish('sendrecv')).success);
  await goes.receives('video', 1);
  await pause(500); // the pace of people
}

// What the legs that have left had seen.
const seen = { packets: 0, encodings: 0, repaired: 0, cryptex: 0, reports: 0, channels: 0 };
function note(stats) {
  const sum = (list, of) => list.reduce((n, one) => n + of(one), 0);
  seen.packets += sum(stats.receive, (r) => r.packets);
  seen.repaired += sum(stats.receive, (r) => r.recovered) + sum(stats.send, (s) => s.retransmitted);
  seen.encodings = Math.max(seen.encodings, stats.send.filter((s) => s.kind === 'video' && s.packets).length);
  seen.cryptex += stats.cryptexIn;
  seen.reports += stats.wideReports;
}

async function openPage(name) {
  const page = await browser.newPage();
  await page.goto(`${stack.url}/lib/index.js`);
  const webrtcId = `${name}@example.org`;
  await page.evaluate(async ([webrtcId, password]) => {
    const { Client } = await import('/lib/index.js');
    window.client = new Client({ url: `${location.origin.replace('http', 'ws')}/eirtcw/v1` });
    window.media = await navigator.mediaDevices.getUserMedia({ audio: true });
    window.until = async (look) => {
      while (!look()) await new Promise((done) => setTimeout(done, 20));
    };
    window.octets = 0;
    client.addEventListener('incoming', ({ detail: { session } }) => {
      session.addEventListener('datachannel', ({ detail: { channel } }) => {
        channel.binaryType = 'arraybuffer';
        channel.onmessage = ({ data }) => { octets += data.byteLength; };
      });
      session.answer({ stream: media });
    });
    await client.register({ webrtcId, password });
  }, [webrtcId, BROWSERS[webrtcId]]);
  return page;
}

// One call with a channel in it, from its beginning to its end.
async function channel(from, to) {
  await to.evaluate(() => { octets = 0; });
  await from.evaluate(async () => {
    window.session = client.call('bob@example.org', { stream: media, data: true });
    await until(() => session.pathState === 'connected' || session.end);
    if (session.end) throw new Error(session.end.cause);
    const channel = await session.createDataChannel('file');
    await until(() => channel.readyState === 'open');
    for (let i = 0; i < 16; i++) channel.send(new Uint8Array(16000));
  });
  await to.evaluate(() => until(() => octets === 16 * 16000));
  await from.evaluate(async () => {
    session.hangUp();
    await until(() => session.end);
  });
  seen.channels++;
}

async function held() {
  await until(() => {
    const { pipelines, reaping } = stack.wmcfctl('status');
    return pipelines === NAMES.length && reaping === 0;
  }, 30_000, () => `more is there than the room: ${JSON.stringify(stack.wmcfctl('status'))}`);
  await pause(2000); // threads end by and by
  const buffers = await stack.metric('wmcf_media_buffer_bytes') / 1024;
  return { wsf: { ...stack.wsf.resources(), buffers: 0 }, wmcf: { ...stack.wmcf.resources(), buffers } };
}

test(`${MINUTES} minutes of coming and going`, async (t) => {
  const url = `${stack.url.replace('http', 'ws').replace('localhost', '127.0.0.1')}eirtcw/v1`;
  const pages = [await openPage('alice'), await openPage('bob')];
  for (const [i, name] of NAMES.entries()) {
    const webrtcId = `${name}@example.org`;
    all.push(await RoomParticipant.register({ url, webrtcId, password: USERS[webrtcId], bind: stack.address,
      members: { expirationTime: 86_400 }, // nobody refreshes
      options: { bitrate: i % 2 ? 400_000 : 200_000, fps: 10, levels: true, simulcast: i % 2 === 1,
        wide: i % 2 === 1, cryptex: i % 3 === 0, drop: i === 2 || i === 5 ? 1 / 30 : 0 } }));
  }
  await Promise.all(all.map((one) => one.join(ROOM)));
  await told();
  const begin = Date.now(), end = begin + MINUTES * 60_000;
  // By then both have what they keep for a while: answers for whoever asks twice, packets, trimmed memory.
  const warm = begin + Math.min(5, MINUTES / 3) * 60_000, interval = (end - begin) / LOOKS;
  let rounds = 0, first, next = warm;
  const tell = (what) => {
    const minutes = ((Date.now() - begin) / 60_000).toFixed(1);
    t.diagnostic(`${minutes} min, ${rounds} rounds: ${JSON.stringify(what)}, ${JSON.stringify(seen)}`);
    return what;
  };
  while (Date.now() < end) {
    await Promise.all([round(rounds), channel(...pages)]);
    rounds++;
    for (const one of all) { one.requests.length = 0; one.offers.length = 0; }
    if (Date.now() < next) continue;
    next += interval;
    const look = tell(await held());
    first ??= look;
  }
  const last = tell(await held());
  for (const program of ['wsf', 'wmcf']) {
    const [then, now] = [first[program], last[program]];
    assert.ok(now.rss - now.buffers < then.rss - then.buffers + GROWTH_KB, `${program} grows`);
    assert.ok(now.threads <= then.threads + 1, `${program} has more threads`);
    assert.ok(now.fds <= then.fds + 2, `${program} has more descriptors`);
  }
  assert.equal(seen.encodings, 3);
  for (const [what, n] of Object.entries(seen)) assert.ok(n > 0, `no ${what}`);
  assert.ok(all.every(({ ended }) => !ended));
  await Promise.all(all.map((one) => one.leave()));
  await stack.contextsBecome(0);
});
