// SPDX-License-Identifier: Apache-2.0
// The page: sign in, call, be called. All protocol is in ../lib; here is only what a person sees.

import { Client, SENTENCES, sentenceFor } from '../lib/index.js';
import { CallView } from './call-view.js';
import { watchConnection } from './connection.js';
import { button, element, input, show } from './dom.js';
import { askToAnswer } from './incoming.js';
import { closeMedia, openMedia } from './media.js';
import { MessageLog } from './messages.js';
import { clearNotice, notify } from './notice.js';
import { RoomView, roomName } from './room-view.js';
import { clock } from './stage-view.js';

const REMEMBERED = 'eirtcw.user';
const TITLE = 'eiRTCW Call';
/** What is said otherwise when it is a room. */
const OF_ROOMS = {
    ...SENTENCES,
    NORMAL: 'You left {peer}.',
    RESOURCE_NOT_FOUND: 'There is no room called {peer}, and you may not open it.',
    NOT_AUTHORIZED: 'You are not allowed into {peer}.',
    RESOURCES_UNAVAILABLE: '{peer} is full at the moment; please try again later.',
};

const client = new Client({ url: serviceUrl(), directMedia: true });
const messages = new MessageLog(client);
/**
 * The session on the screen or ringing; a second caller hears "busy".
 * @type {import('../lib/index.js').Session | undefined}
 */
let current;
/** Between the click and the first message: the browser asks for the camera. */
let preparing = false;

watchConnection(client);
// Not before this script is there: a form without it would put the password into the URL.
button('sign-in').disabled = false;
input('user').value = remembered() ?? '';
(input('user').value ? input('password') : input('user')).focus();

element('sign-in-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    clearNotice();
    const webrtcId = input('user').value.trim();
    const password = input('password').value;
    if (!/^[^@\s]+@[^@\s]+$/.test(webrtcId)) {
        notify('Your address has the form name@operator, for example alice@example.org.');
        input('user').focus();
        return;
    }
    button('sign-in').disabled = true;
    button('sign-in').textContent = 'Signing in…';
    try {
        await client.register({ webrtcId, password });
        remember(webrtcId);
        input('password').value = '';
        element('me-id').textContent = webrtcId;
        element('reach').textContent = webrtcId;
        element('me').hidden = false;
        input('callee').placeholder = `bob or bob@${webrtcId.split('@')[1]}`;
        home();
    } catch (error) {
        notify(sentence(error));
        input('password').select();
    } finally {
        button('sign-in').disabled = false;
        button('sign-in').textContent = 'Sign in';
    }
});

element('call-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const { submitter } = /** @type {SubmitEvent} */ (event);
    void callTo(input('callee').value.trim(), { picture: submitter?.id !== 'call-sound' });
});

element('room-form').addEventListener('submit', (event) => {
    event.preventDefault();
    void join(`room/${input('room-name').value.trim()}`);
});

button('play-test').addEventListener('click', () => watchResource('media/test'));

client.addEventListener('incoming', async (event) => {
    const { session } = event.detail;
    if (current || preparing) {
        event.preventDefault();
        return;
    }
    current = session;
    clearNotice();
    session.addEventListener('ended', () => {
        if (session.state === 'terminated' && current === session) current = undefined;
    });
    const answer = await askToAnswer(session);
    if (answer === 'no') {
        if (session.end?.remote) notify(missed(session), { calm: true });
        home();
        return;
    }
    const media = await prepare({ picture: answer === 'picture' });
    if (session.state === 'terminated') {
        closeMedia(media.stream);
        if (session.end?.remote) notify(missed(session), { calm: true });
        home();
        return;
    }
    take(session, media.stream);
    session.answer({ stream: media.stream });
});

client.addEventListener('stopped', ({ detail: { problem } }) => {
    element('me').hidden = true;
    show('sign-in');
    document.title = TITLE;
    if (problem.cause !== 'SIGNED_OUT') notify(sentence(problem));
    input('password').focus();
});

client.addEventListener('error', ({ detail }) => console.error(detail));

button('sign-out').addEventListener('click', () => {
    clearNotice();
    client.close();
});

// A page that goes takes its calls with it; the far side shall not wait for a time-out.
addEventListener('pagehide', () => client.close());

/**
 * @param {string} callee
 * @param {{ picture: boolean }} wanted
 */
async function callTo(callee, { picture }) {
    if (isRoom(callee)) return join(callee, { picture });
    if (current || preparing) return;
    clearNotice();
    const { stream } = await prepare({ picture });
    if (current || client.state === 'offline') {
        closeMedia(stream);
        return;
    }
    // Without a picture at first; whoever switches the camera on later is seen.
    const session = client.call(withRealm(callee), {
        stream,
        receive: picture ? ['audio', 'video'] : ['audio'],
    });
    session.addEventListener('statechange', () => session.setReceive(['audio', 'video']), {
        once: true,
    });
    take(session, stream);
}

/**
 * @param {string} room
 * @param {{ picture?: boolean }} [wanted]
 */
async function join(room, wanted) {
    if (current || preparing) return;
    clearNotice();
    const { stream } = await prepare(wanted);
    if (current || client.state === 'offline') {
        closeMedia(stream);
        return;
    }
    history.replaceState(null, '', `#${room}`);
    take(client.call(withRealm(room), { stream }), stream);
}

/** What the network itself provides: nothing is sent. @param {string} resource */
function watchResource(resource) {
    if (current || preparing) return;
    clearNotice();
    take(client.call(withRealm(resource)), new MediaStream());
}

/** @param {{ picture?: boolean }} [wanted] */
async function prepare(wanted) {
    preparing = true;
    button('call').disabled = button('join').disabled = true;
    try {
        const { stream, sentence: missing } = await openMedia(wanted);
        if (missing) notify(missing);
        return { stream: stream ?? new MediaStream() };
    } finally {
        preparing = false;
        button('call').disabled = button('join').disabled = false;
    }
}

/**
 * Puts a session on the screen until it ends.
 * @param {import('../lib/index.js').Session} session
 * @param {MediaStream} stream
 */
function take(session, stream) {
    current = session;
    const View = isRoom(session.peer) ? RoomView : CallView;
    const view = new View(session, stream, client, messages);
    session.addEventListener('ended', ({ detail }) => {
        closeMedia(stream);
        if (current === session) current = undefined;
        if (client.state === 'offline') return; // `stopped` says why
        const room = isRoom(session.peer);
        const { duration } = view;
        const lasted =
            duration === undefined || room ? '' : ` The call lasted ${clock(duration)}.`;
        const said = room
            ? { peer: roomName(session.peer), sentences: OF_ROOMS }
            : { peer: session.peer };
        if (detail.remote || detail.cause !== 'NORMAL') {
            notify(sentenceFor(detail, said) + lasted, { calm: detail.cause === 'NORMAL' });
        } else if (duration !== undefined) {
            const what = room ? `You left ${said.peer}` : 'Call ended';
            notify(`${what} after ${clock(duration)}.`, { calm: true });
        } else {
            clearNotice();
        }
        home();
    });
}

function home() {
    if (client.state === 'offline') return;
    show('home');
    document.title = TITLE;
    const room = /^#room\/([\w.-]+)$/.exec(location.hash)?.[1];
    if (room) input('room-name').value = room;
    input(room ? 'room-name' : 'callee').focus();
}

/** @param {string | undefined} id */
function isRoom(id) {
    return id?.startsWith('room/') ?? false;
}

/** @param {import('../lib/index.js').Session} session that rang here and is over */
function missed(session) {
    const { end, peer } = session;
    if (!end || end.cause === 'NORMAL' || end.cause === 'NO_ANSWER') {
        return `You missed a call from ${peer ?? 'somebody'}.`;
    }
    return sentenceFor(end, { peer });
}

/** @param {unknown} error */
function sentence(error) {
    if (error instanceof Error && 'cause' in error && typeof error.cause === 'string') {
        return sentenceFor(/** @type {import('../lib/index.js').ProblemError} */ (error));
    }
    console.error(error);
    return sentenceFor('INTERNAL_ERROR');
}

/** bob → bob@example.org, within one's own realm. @param {string} id */
function withRealm(id) {
    return id.includes('@') ? id : `${id}@${client.webrtcId?.split('@')[1] ?? ''}`;
}

/** The service that this page came from. */
function serviceUrl() {
    return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/eirtcw/v1`;
}

function remembered() {
    try {
        return localStorage.getItem(REMEMBERED);
    } catch {
        return null;
    }
}

/** Only the address; never the password. @param {string} webrtcId */
function remember(webrtcId) {
    try {
        localStorage.setItem(REMEMBERED, webrtcId);
    } catch {
        // Storage is refused: then it is typed again next time.
    }
}
