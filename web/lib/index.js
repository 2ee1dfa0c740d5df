// SPDX-License-Identifier: Apache-2.0
// What the library shows; everything else in this folder is its own business.

export { Client } from './client.js';
export { Session } from './session.js';
export { ProblemError } from './problem.js';
export { SENTENCES, sentenceFor } from './words.js';
export { summarizeStats } from './stats.js';
export { gateOpen } from './qos.js';
export { discover } from './discovery.js';
export { tabInstanceId } from './instance-id.js';
