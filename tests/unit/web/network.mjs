// SPDX-License-Identifier: Apache-2.0
// The network as a test plays it: a client registered over a fake socket, requests of the network,
// responses to those of the client, a lost connection and the resumption.
import { mock } from 'node:test';
import { Client } from '../../../web/lib/index.js';
import { FakeConnection } from './fake-connection.mjs';
import { FakeSocket, settle } from './fake-socket.mjs';

const GRANTED = {
    expirationTime: 3600,
    reAuthCredential: 'r-1',
    disconnectionTtl: 30,
    keepAliveInterval: 20,
    mediaSessions: [],
};

export class Network {
    #nextId = 1;

    /** `granted`: members of the response to auth; `options`: of the client. */
    static async start({ granted = {}, options = {} } = {}) {
        const net = new Network();
        FakeSocket.reset();
        net.granted = { ...GRANTED, ...granted };
        net.client = new Client({
            url: 'ws://x/',
            WebSocket: FakeSocket,
            RTCPeerConnection: FakeConnection,
            instanceId: 'i-1',
            iceServers: [],
            random: () => 1,
            ...options,
        });
        const done = net.client.register({ webrtcId: 'alice@example.org', password: 'x' });
        await settle();
        FakeSocket.last.open();
        await settle();
        net.answer('auth', net.granted);
        await done;
        return net;
    }

    /** A request of the network; gives our response, undefined if there is none yet. */
    async request(method, members) {
        const transactionId = this.#nextId;
        this.#nextId += 2;
        FakeSocket.last.receive({ messageType: 'request', method, transactionId, ...members });
        await settle();
        return FakeSocket.last.sent.find(
            (m) => m.messageType === 'response' && m.transactionId === transactionId,
        );
    }

    last(method) {
        return FakeSocket.last.lastRequest(method);
    }

    /** All requests of a method on the present connection. */
    sent(method) {
        return FakeSocket.last.sent.filter(
            (message) => message.messageType === 'request' && message.method === method,
        );
    }

    answer(method, members) {
        FakeSocket.last.answer(method, members);
    }

    refuse(method, status, cause, members) {
        FakeSocket.last.refuse(method, status, cause, members);
    }

    respond({ method, transactionId }, members, success = true) {
        FakeSocket.last.receive({
            messageType: 'response',
            method,
            transactionId,
            success,
            ...members,
        });
    }

    async lose(code = 1006) {
        FakeSocket.last.drop(code);
        await settle();
    }

    /** The client comes back and is told of these sessions: [id, state]. */
    async resume(sessions) {
        mock.timers.tick(1000);
        await settle();
        this.#nextId = 1;
        FakeSocket.last.open();
        await settle();
        this.answer('auth', {
            ...this.granted,
            mediaSessions: sessions.map(([mediaSessionId, mediaSessionState]) => ({
                mediaSessionId,
                mediaSessionState,
                offerPending: 'none',
            })),
        });
        await settle();
    }
}
