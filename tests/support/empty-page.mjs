// SPDX-License-Identifier: Apache-2.0
// A page without scripts of its own, for tests that drive a browser's RTCPeerConnection against the
// control link alone. From a loopback address it is asked for as localhost, so that the page may use
// the camera.
import { createServer } from 'node:http';

export async function serveEmptyPage({ address = '127.0.0.1' } = {}) {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>a page</title><video autoplay muted></video>');
  });
  await new Promise((done, fail) => server.on('error', fail).listen(0, address, done));
  const host = address === '127.0.0.1' ? 'localhost' : address;
  return {
    url: `http://${host}:${server.address().port}/`,
    close() {
      server.closeAllConnections(); // a browser keeps some, and they would keep the test
      server.close();
    },
  };
}
