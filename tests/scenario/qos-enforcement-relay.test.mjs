// SPDX-License-Identifier: Apache-2.0
// The same by the relay alone, as where the kernel does not help.
process.env.QOS_LEVEL = 'relay';
await import('./qos-enforcement.test.mjs');
