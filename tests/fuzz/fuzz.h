/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A fuzz target is one function: libFuzzer calls it with inputs it invents (tests/long/fuzz), and
 * replay.c calls it with every input of the corpus (./check). It aborts when a property of the code
 * under test does not hold. */
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
