// SPDX-License-Identifier: Apache-2.0
// Files through the real wmcf: a film's picture and tone at a generated leg, pause, seek and other
// values by `modify`, its end, and what is not allowed to be opened.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as listenTcp } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeFilm } from '../support/films.mjs';
import { GeneratedLeg } from '../support/generated-leg.mjs';
import { ControlLink, Wmcf, build, root } from '../support/wmcf.mjs';

const run = promisify(execFile);
const EVENTS = ['endOfStream', 'resourceFailure'];
const guide = readFileSync(path.join(root, 'docs/pipelines.md'), 'utf8');
const examples = [];
let wmcf, link, folder, server, camera, mover, inside;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'films-'));
  mkdirSync(path.join(folder, 'media'));
  writeFileSync(path.join(folder, 'secret.webm'), 'secret');
  symlinkSync('../secret.webm', path.join(folder, 'media/link.webm'));
  writeFileSync(path.join(folder, 'media/broken.webm'), 'This is no film.');
  await makeFilm(path.join(folder, 'media/film.webm'), { seconds: 20 });
  await makeFilm(path.join(folder, 'media/short.webm'), { seconds: 1, picture: false });
  // Counts who comes where, and leads to where nobody shall come.
  server = createServer((request, response) => {
    if (request.url === '/live/on') {
      server.camera = webm();
      server.camera.stdout.pipe(response.writeHead(200, { 'content-type': 'video/webm' }));
      return;
    }
    server.asked.push(request.url);
    response.writeHead(302, { location: `http://127.0.0.1:${server.address().port}/inside` }).end();
  });
  server.asked = [];
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  camera = spawn(path.join(root, 'tests/support/rtsp-camera'), { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = await once(camera.stdout, 'data');
  camera.uri = `rtsp://ann:secret@127.0.0.1:${Number(port)}/live/`;
  // The same for RTSP: who is led inside, and what is said there.
  inside = await listen((socket) => {
    inside.heard ??= '';
    socket.on('data', (data) => { inside.heard += data; }).on('error', () => {});
  });
  mover = await listen((socket) => socket.on('data', (data) => {
    const [, method, number] = /^(\w+)[^]*CSeq: (\d+)/.exec(data);
    socket.write(method === 'OPTIONS' ? `RTSP/1.0 200 OK\r\nCSeq: ${number}\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n`
      : `RTSP/1.0 302 Moved Temporarily\r\nCSeq: ${number}\r\nLocation: rtsp://127.0.0.1:${inside.address().port}/live/x\r\n\r\n`);
  }).on('error', () => {}));
  // The guide's templates, as it names them.
  for (const [, name, text] of guide.matchAll(/^```pipeline\n# (\S+)\n([^]*?)^```$/gm)) {
    writeFileSync(path.join(folder, name), text);
    examples.push(name.replace('.pipeline', ''));
  }
  wmcf = await Wmcf.start([`pipelines.folder=${folder}`, `pipelines.media_folder=${folder}/media`, 'pipelines.start_timeout=20',
    `pipelines.media_uris=http://127.0.0.1:${server.address().port}/live/, ${camera.uri}, rtsp://127.0.0.1:${mover.address().port}/live/`]);
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  camera.kill();
  for (const one of [server, mover, inside]) one.close();
  assert.equal(await wmcf.stop(), 0);
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  const { contexts } = await link.request('audit');
  for (const { contextId } of contexts) await link.request('subtract', { contextId });
});

async function listen(serve) {
  const tcp = listenTcp(serve).listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  return tcp;
}

/** WebM as it is made, without length and index. */
const webm = () => spawn('gst-launch-1.0', ['-q', 'webmmux', 'name=mux', 'streamable=true', '!', 'fdsink', 'fd=1',
  'videotestsrc', 'is-live=true', '!', 'video/x-raw,width=320,height=180,framerate=25/1', '!', 'vp8enc', 'deadline=1',
  'keyframe-max-dist=25', '!', 'mux.', 'audiotestsrc', 'is-live=true', '!', 'opusenc', '!', 'mux.'],
{ stdio: ['ignore', 'pipe', 'inherit'] });

const play = (source, parameters = {}, members = {}) => link.request('add', { events: EVENTS,
  pipeline: { template: 'play', parameters: { source, width: 320, height: 180, ...parameters } },
  ...members });
const change = (t, members) => link.request('modify', { contextId: t.contextId,
  terminationId: t.terminationId, ...members });
const state = async (t) => {
  const { contextId, terminationId } = t;
  return (await link.request('audit', { contextId, terminationId })).terminations[0].pipeline;
};
const of = (t, event) => (m) => m.terminationId === t.terminationId && m.event === event;
const video = (stats) => stats.receive.find((r) => r.kind === 'video');
const audio = (stats) => stats.receive.find((r) => r.kind === 'audio');

async function viewer(source) {
  const { contextId, terminationId } = source;
  const added = await link.request('add', { contextId, offerTemplate: { bundle: true, medias: [
    { mediaType: 'audio', direction: 'sendonly' },
    { mediaType: 'video', direction: 'sendonly', codecs: ['VP8'] }] },
  mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }] });
  const leg = new GeneratedLeg();
  const [, bind] = added.sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
  const sdpAnswer = await leg.answer(added.sdpOffer, { bind, direction: 2 });
  const routed = await link.request('modify', { contextId, terminationId: added.terminationId, sdpAnswer,
    routes: source.medias.map(({ mid, mediaType }) => ({ from: { terminationId, mid },
      to: { terminationId: added.terminationId, mid: mediaType === 'audio' ? '0' : '1' } })) });
  assert.ok(routed.success, JSON.stringify(routed));
  return leg;
}
async function flows(leg) {
  const from = await leg.stats();
  await leg.until((s) => video(s)?.frames > (video(from)?.frames ?? 0) + 10 &&
    audio(s)?.packets > (audio(from)?.packets ?? 0) + 20);
}

test('a film is seen and heard, halted, sought and changed, and ends', { timeout: 150_000 }, async () => {
  const source = await play('film.webm');
  assert.ok(source.success, JSON.stringify(source));
  assert.deepEqual(source.medias.map((m) => [m.mid, ...m.codecs]), [['audio', 'opus'], ['video', 'VP8']]);
  assert.equal(source.pipeline.seekable, true);
  assert.ok(Math.abs(source.pipeline.duration - 20) < 0.1, JSON.stringify(source.pipeline));
  const leg = await viewer(source);
  await flows(leg);

  const halted = await change(source, { pause: true });
  assert.equal(halted.pipeline?.paused, true, JSON.stringify(halted));
  const still = (await state(source)).position;
  assert.ok(still > 0 && still < 20, `${still}`);
  const resumed = await change(source, { pause: false, seek: 0, pipeline: { parameters: { bitrate: 300000 } } });
  assert.equal(resumed.pipeline?.paused, false, JSON.stringify(resumed));

  // What is decoded after all that is whole.
  const file = path.join(wmcf.folder, 'capture');
  await leg.command('capture', { file });
  await leg.command('keyFrame');
  const from = await leg.stats();
  await leg.until((s) => video(s).frames > video(from).frames + 30 && audio(s).packets > audio(from).packets + 60);
  await leg.command('capture');
  const seen = JSON.parse((await run(path.join(build, 'tests/support/rtp-look'), [file, 'VP8'])).stdout);
  assert.deepEqual([seen.video.width, seen.video.height], [320, 180]);
  assert.ok(seen.video.changes > 4, JSON.stringify(seen));
  assert.ok(Math.abs(seen.audio.frequency - 1000) < 10, JSON.stringify(seen));

  const told = await change(source, { seek: 19.5 });
  assert.ok(told.success, JSON.stringify(told));
  await link.event(of(source, 'endOfStream'));
  const ended = await state(source);
  assert.equal(ended.state, 'ended');
  assert.ok(ended.position > 19.9, JSON.stringify(ended));
  // It is there for another look.
  assert.ok((await change(source, { seek: 1 })).success);
  assert.equal((await state(source)).state, 'playing');
  await flows(leg);
  for (const r of (await leg.stats()).receive) assert.equal(r.lost, 0, JSON.stringify(r));
  await leg.close();
});

test('what cannot be changed is refused, and nothing is done', async () => {
  const source = await play('film.webm');
  const refused = async (t, members, status, param, detail) => {
    const { success, problemDetails } = await change(t, members);
    assert.equal(success, false, JSON.stringify(members));
    assert.deepEqual([problemDetails.status, problemDetails.invalidParams?.[0].param], [status, param]);
    assert.match(problemDetails.detail, detail);
  };
  await refused(source, { seek: 21 }, 400, '/seek', /20\.\d+ s long/);
  await refused(source, { pipeline: { parameters: { width: 640 } } }, 400, '/pipeline/parameters/width',
    /cannot change while/);
  await refused(source, { pipeline: { parameters: { source: 'short.webm' } } }, 400,
    '/pipeline/parameters/source', /cannot change while/);
  await refused(source, { pipeline: { parameters: { bitrate: 1 } } }, 400, '/pipeline/parameters/bitrate', /50000/);
  await refused(source, { pipeline: { parameters: { nosuch: 1 } } }, 400, '/pipeline/parameters/nosuch', /no parameter/);
  await refused(source, { pause: true, mediaPolicy: [{ mid: '*', flowStatus: 'DISABLED' }] }, 400,
    '/mediaPolicy', /no place/);
  const live = await link.request('add', { contextId: source.contextId, pipeline: { template: 'test',
    parameters: { width: 160, height: 90 } } });
  assert.equal(live.pipeline.seekable, false);
  await refused(live, { seek: 0 }, 409, '/seek', /live/);
  const peer = await link.request('add', { contextId: source.contextId,
    offerTemplate: { medias: [{ mediaType: 'audio' }] } });
  await refused(peer, { pause: true }, 409, undefined, /no pipeline/);
  assert.deepEqual([(await state(source)).state, (await state(source)).paused], ['playing', false]);
  // Gone while it waits for its answer, or before.
  const [answer] = await Promise.all([change(source, { seek: 2 }),
    link.request('subtract', { contextId: source.contextId })]);
  assert.ok(answer.success || answer.problemDetails.cause === 'TERMINATION_NOT_FOUND', JSON.stringify(answer));
});

test('a sound alone; again and again', async () => {
  const source = await play('short.webm', { loop: true });
  assert.deepEqual(source.medias.map((m) => m.mid), ['audio']);
  const leg = await viewer(source);
  await leg.until((s) => audio(s)?.packets > 80); // of 50 in the file
  assert.equal((await state(source)).state, 'playing');
  assert.ok(!link.events.some(of(source, 'endOfStream')));
  await leg.close();
});

test('a shared film is made once, for viewers of several contexts', { timeout: 150_000 }, async () => {
  const shared = (source, name, parameters = {}) => link.request('add', { events: EVENTS, pipeline: {
    template: 'play', share: name, parameters: { source, width: 320, height: 180, ...parameters } } });
  const resources = async () => (await wmcf.ctl('status')).mediaResources;
  const together = await Promise.all(Array.from({ length: 8 }, () => shared('film.webm', 'one')));
  for (const t of together) assert.ok(t.success, JSON.stringify(t));
  const late = await shared('film.webm', 'one');
  assert.equal(late.pipeline.shared, true);
  assert.equal(await resources(), 1);
  const all = [...together, late];
  assert.equal(new Set(all.map((t) => t.contextId)).size, 9);
  assert.deepEqual(late.medias.map((m) => [m.mid, ...m.codecs]), [['audio', 'opus'], ['video', 'VP8']]);
  // Nobody sees the context in which it runs.
  assert.equal((await link.request('audit')).contexts.length, 9);
  const legs = await Promise.all(all.map((t) => viewer(t)));
  await Promise.all(legs.map((leg) => flows(leg)));
  // What is made once is what each of them gets.
  const before = await Promise.all(legs.map((leg) => leg.stats()));
  await legs[0].until((s) => video(s).packets > video(before[0]).packets + 60);
  for (const [i, leg] of legs.entries()) {
    const s = await leg.until((now) => video(now).packets >= video(before[i]).packets + 40);
    assert.equal(video(s).lost, 0, JSON.stringify(video(s)));
  }
  const other = await shared('film.webm', 'one', { width: 640 });
  assert.deepEqual([other.problemDetails.status, other.problemDetails.invalidParams[0].param], [409, '/pipeline/share']);
  assert.equal((await change(together[3], { pause: true })).pipeline.paused, true);
  assert.equal((await state(late)).paused, true);
  assert.ok((await change(late, { pause: false, seek: 1 })).success);
  await Promise.all(legs.map((leg) => flows(leg)));
  // The one that began it leaves, the others go on; the end comes to all that are there.
  await link.request('subtract', { contextId: together[0].contextId });
  await flows(legs[8]);
  await change(late, { seek: 19.8 });
  await Promise.all(all.slice(1).map((t) => link.event(of(t, 'endOfStream'))));
  const [own] = (await link.request('audit', { contextId: late.contextId, what: ['state', 'statistics'] })).terminations;
  assert.equal(own.pipeline.state, 'ended');
  await Promise.all(all.slice(1).map((t) => link.request('subtract', { contextId: t.contextId })));
  while (await resources() > 0) await sleep(10);
  assert.equal((await wmcf.ctl('status')).contexts, 0);
  await Promise.all(legs.map((leg) => leg.close()));
});

test('what a shared pipeline fails of is told to all who wait and all who watch', async () => {
  const name = path.join(folder, 'breaks.pipeline');
  writeFileSync(name, 'audiotestsrc is-live=true samplesperbuffer=960 ! identity error-after=30 ! ' +
    'audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay ! wmcfsink mid=a\n');
  const shared = (template, share, parameters = {}) => link.request('add', { events: EVENTS,
    pipeline: { template, share, parameters } });
  const two = await Promise.all([shared('breaks', 'two'), shared('breaks', 'two')]);
  for (const t of two) {
    assert.ok(t.success, JSON.stringify(t));
    assert.match((await link.event(of(t, 'resourceFailure'))).details.reason, /identity/);
  }
  // The name is free again, while the two who watched are still there.
  assert.ok((await shared('test', 'two', { width: 160, height: 90 })).success);
  for (const t of await Promise.all([1, 2, 3].map(() => shared('play', 'three', { source: 'broken.webm' }))))
    assert.match(t.problemDetails.detail, /type of stream/);
  assert.equal((await shared('play', 'three', { source: 'none.webm' })).problemDetails.status, 404);
  assert.equal((await shared('nosuch', 'four')).problemDetails.status, 404);
  // Gone before it plays.
  const base = await link.request('add', { offerTemplate: { medias: [{ mediaType: 'audio' }] } });
  const { contextId } = base;
  const starting = link.request('add', { contextId, pipeline: { template: 'test', share: 'five' } });
  await link.request('subtract', { contextId });
  assert.equal((await starting).problemDetails.cause, 'TERMINATION_NOT_FOUND');
});

test('a live stream by HTTP is seen and heard, cannot be sought, and ends with its source', { timeout: 150_000 }, async () => {
  const source = await play(`http://127.0.0.1:${server.address().port}/live/on`);
  try {
    assert.ok(source.success, JSON.stringify(source));
    assert.deepEqual(source.medias.map((m) => [m.mid, ...m.codecs]), [['audio', 'opus'], ['video', 'VP8']]);
    assert.equal(source.pipeline.seekable, false);
    const leg = await viewer(source);
    await flows(leg);
    const refused = await change(source, { seek: 3 });
    assert.equal(refused.problemDetails?.invalidParams?.[0].param, '/seek', JSON.stringify(refused));
    await flows(leg);
    server.camera.kill('SIGKILL');
    await link.event(of(source, 'endOfStream'));
    await leg.close();
  } finally {
    server.camera.kill('SIGKILL');
  }
});

test('a camera by RTSP is seen and heard inside of one connection, and leads nowhere else', { timeout: 60000 }, async () => {
  const ports = () => readFileSync('/proc/net/udp', 'utf8').split('\n').length;
  const before = ports();
  const source = await play(`${camera.uri}camera`);
  assert.ok(source.success, JSON.stringify(source));
  assert.deepEqual(source.medias.map((m) => [m.mid, ...m.codecs]), [['audio', 'opus'], ['video', 'VP8']]);
  assert.equal(source.pipeline.seekable, false);
  assert.equal(ports(), before);
  const leg = await viewer(source);
  await flows(leg);
  const { problemDetails: wrong } = await play(`${camera.uri.replace('secret', 'guess')}camera`);
  assert.equal(wrong?.invalidParams?.[0].param, '/pipeline/parameters/source', JSON.stringify(wrong));
  const { problemDetails: none } = await play(`${camera.uri}garden`);
  assert.deepEqual([none?.status, none?.cause], [502, 'WMCF_ERROR'], JSON.stringify(none));
  assert.match(none.detail, /not found/i);
  const { problemDetails: led } = await play(`rtsp://127.0.0.1:${mover.address().port}/live/camera`);
  assert.match(led?.detail ?? '', /redirects to another place, which is not followed/, JSON.stringify(led));
  assert.ok(!inside.heard, inside.heard);
  await flows(leg);
  camera.kill();
  await link.event((m) => m.terminationId === source.terminationId && EVENTS.includes(m.event));
  await leg.close();
});

test('only what is allowed is opened', { timeout: 30000 }, async () => {
  const refused = async (source, status, detail) => {
    const { problemDetails } = await play(source);
    assert.deepEqual([source, problemDetails?.status], [source, status]);
    if (status < 500) assert.equal(problemDetails.invalidParams[0].param, '/pipeline/parameters/source');
    assert.match(problemDetails.detail, detail);
  };
  await refused('', 400, /told what to play/);
  await refused('none.webm', 404, /none\.webm/);
  await refused('link.webm', 400, /out of the folder/);
  await refused('../secret.webm', 400, /out of the folder/);
  await refused('/etc/passwd', 400, /out of the folder/);
  await refused('file:///etc/passwd', 400, /host/);
  await refused('http://127.0.0.1:8188/', 400, /begins/);
  await refused('broken.webm', 502, /typefind: .*type of stream/);
  assert.deepEqual(server.asked, []);
  await refused(`http://127.0.0.1:${server.address().port}/live/one`, 502, /redirect|302|Found/i);
  assert.deepEqual(server.asked, ['/live/one']);
});

test('the templates of the guide play', async () => {
  // A filter plays in a path: wmcf-media-path.test.mjs, and --check-pipelines below.
  assert.deepEqual(examples, ['softer', 'meeting', 'tone', 'colour', 'titled']);
  const meeting = await link.request('add', { pipeline: { template: 'meeting' }, inputs: [{ input: 'ann' }] });
  assert.ok(meeting.success, JSON.stringify(meeting));
  for (const name of examples.slice(2)) {
    const parameters = name === 'titled' ? { source: 'film.webm' } : {};
    const { success, problemDetails, ...t } = await link.request('add', { pipeline: { template: name, parameters } });
    assert.ok(success, JSON.stringify(problemDetails));
    if (name === 'colour') assert.ok((await change(t, { pipeline: { parameters: { bitrate: 900000 } } })).success);
    assert.equal((await state(t)).state, 'playing');
  }
  assert.doesNotMatch(wmcf.log, /cannot be used/);
});

const check = async (folderOfTemplates) => {
  const args = ['-c', path.join(wmcf.folder, 'wmcf.conf'), '-s', `pipelines.folder=${folderOfTemplates}`,
    '-s', 'pipelines.start_timeout=5', '--check-pipelines'];
  return run(path.join(build, 'wmcf/wmcf'), args).then(({ stdout }) => ({ code: 0, stdout }),
    ({ code, stdout }) => ({ code, stdout }));
};

test('--check-pipelines plays every template and says what is wrong where', async () => {
  const good = await check(folder);
  assert.equal(good.code, 0, good.stdout);
  for (const line of [/^colour +plays video VP8 after/m, /^colour clock=false +plays/m,
    /^titled +plays audio opus, video VP8/m, /^softer +plays sound opus/m, /^flip video=H264 +plays audio opus, video H264/m, /^play video=H264 +plays audio opus, video H264/m,
    /^all pipelines play$/m]) assert.match(good.stdout, line);
  const own = mkdtempSync(path.join(tmpdir(), 'broken-'));
  const write = (name, text) => writeFileSync(path.join(own, `${name}.pipeline`), text);
  const tone = 'audiotestsrc is-live=true ! opusenc ! rtpopuspay';
  write('element', `# a comment\n${tone}\n  ! nosuchelement ! wmcfsink mid=a\n`);
  write('syntax', 'parameter x integer 5 1..3\naudiotestsrc ! wmcfsink mid=a\n');
  write('inside', `parameter c choice a a|b\nwhen c=b: audiotestsrc ! identity error-after=1\n` +
    `when c=a: audiotestsrc is-live=true\n! opusenc ! rtpopuspay ! wmcfsink mid=a\n`);
  write('target', `parameter v integer 1 0..2 -> source.nosuch\naudiotestsrc name=source is-live=true` +
    ' ! opusenc ! rtpopuspay ! wmcfsink mid=a\n');
  write('silent', 'appsrc is-live=true ! application/x-rtp ! wmcfsink mid=a\n');
  write('fine', `${tone} ! wmcfsink mid=a\n`);
  const bad = await check(own);
  rmSync(own, { recursive: true });
  assert.equal(bad.code, 1);
  for (const line of [/^element +FAILS .*element\.pipeline:3: no element "nosuchelement": is its plug-in installed/m,
    /^syntax +FAILS .*syntax\.pipeline:1: the default of x/m, /^inside +plays a opus/m,
    /^inside c=b +FAILS .*inside\.pipeline:2: identity\d+: /m,
    /^target +FAILS .*target\.pipeline:2: .*no property nosuch/m, /^silent +FAILS no packet came at a/m,
    /^fine +plays a opus/m, /^5 of the pipelines do not play$/m]) assert.match(bad.stdout, line);
});

test('a template is tuned while wmcf runs; a wrong one does not take the place of the former', async () => {
  const name = path.join(folder, 'tuned.pipeline');
  const text = (codec, bitrate = 100000) => `parameter video choice ${codec} VP8|H264\n` +
    `parameter bitrate integer ${bitrate} 10000..9000000\n` +
    'videotestsrc is-live=true ! video/x-raw,width=160,height=90,framerate=10/1\n' +
    'when video=VP8: ! vp8enc deadline=1 target-bitrate=${bitrate} ! rtpvp8pay mtu=1200\n' +
    'when video=H264: ! openh264enc ! video/x-h264,profile=constrained-baseline ! rtph264pay mtu=1200\n' +
    'when video=H264: ! capssetter caps="application/x-rtp,profile-level-id=(string)42e01f"\n! wmcfsink mid=v\n';
  const reload = async (content) => {
    writeFileSync(name, content);
    const from = wmcf.log.length;
    wmcf.process.kill('SIGHUP');
    while (!/pipeline templates read again/.test(wmcf.log.slice(from))) await sleep(10);
    return wmcf.log.slice(from);
  };
  const codec = async () => {
    const t = await link.request('add', { pipeline: { template: 'tuned' } });
    assert.ok(t.success, JSON.stringify(t));
    return [t.medias[0].codecs[0], t];
  };
  await reload(text('VP8'));
  const [first, running] = await codec();
  assert.equal(first, 'VP8');
  // Another bitrate: for the next one, while the first keeps what it was begun with.
  const bitrate = async ({ terminationId }) =>
    (await wmcf.ctl('dot', terminationId)).dot.match(/target-bitrate=(\d+)/)[1];
  await reload(text('VP8', 300000));
  assert.equal(await bitrate((await codec())[1]), '300000');
  assert.equal(await bitrate(running), '100000');
  assert.doesNotMatch(await reload(text('H264')), /cannot be used/);
  assert.equal((await codec())[0], 'H264');
  assert.match(await reload(text('VP8').replace('vp8enc', 'nosuch')),
    /template tuned cannot be used, the former one stays in use: .*tuned\.pipeline:4: no element .*nosuch/);
  assert.equal((await codec())[0], 'H264');
  assert.match(await reload('parameter'), /former one stays in use: .*tuned\.pipeline:1: /);
  assert.equal((await codec())[0], 'H264');
  const position = (await state(running)).position;
  for (;;) if ((await state(running)).position > position) break;
  assert.equal((await state(running)).state, 'playing');
});

test('wmcfctl draws a pipeline, asks for key frames, sets the log, drains', async () => {
  const source = await play('film.webm', { loop: true });
  const { dot } = await wmcf.ctl('dot', source.terminationId);
  const drawing = run('dot', ['-Tsvg']);
  drawing.child.stdin.end(dot);
  const { stdout } = await drawing;
  assert.match(stdout, /<svg[^]*GstURIDecodeBin[^]*<\/svg>/);
  for (const element of ['GstVP8Enc', 'WmcfSink']) assert.ok(stdout.includes(element), element);
  const leg = await viewer(source);
  await flows(leg);
  const before = (await state(source)).keyFrameRequests;
  await wmcf.ctl('keyframe', source.terminationId);
  while ((await state(source)).keyFrameRequests === before) await sleep(10);
  const peer = await link.request('add', { contextId: source.contextId,
    offerTemplate: { medias: [{ mediaType: 'audio' }] } });
  const refused = async (...args) => assert.rejects(wmcf.ctl(...args), /wmcfctl: \S+/);
  await refused('dot', peer.terminationId);
  await refused('keyframe', peer.terminationId);
  await refused('dot', 't-none');
  await refused('log', 'pipeline:loud');
  await refused('undrain');
  await wmcf.ctl('log', 'pipeline:debug');
  await play('short.webm');
  await wmcf.says(/template play plays after/);
  await wmcf.ctl('log', 'pipeline:info');
  const top = await run(path.join(build, 'wmcf/wmcfctl'), ['-s', path.join(wmcf.folder, 'wmcf.sock'), 'top']);
  assert.match(top.stdout, /^inService, load .*media resources; \d+ % of a core\n  worker 0 .*packets\/s in/);
  await wmcf.ctl('drain');
  await refused('drain');
  assert.equal((await play('short.webm')).problemDetails.cause, 'DRAINING');
  await wmcf.ctl('undrain');
  assert.ok((await play('short.webm')).success);
  await leg.close();
});
