/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The element `wmcfmix`: everybody hears everybody else. A pad `sink_NAME` takes a sound, the pad
 * `src_NAME` gives the sum of all sounds but that one; a `src_NAME` without a `sink_NAME` gives the
 * sum of all. Pads come and go while it runs, and the others notice nothing of it:
 *
 *     wmcfmix name=mix
 *     audiotestsrc is-live=true ! mix.sink_a   mix.src_a ! autoaudiosink
 *     audiotestsrc is-live=true ! mix.sink_b   mix.src_b ! fakesink
 *
 * It is live: blocks of 20 ms at the pace of the clock, each mixed `latency` after its time
 * (absent: what its inputs tell), whoever is late then. One thread mixes and carries what comes out
 * through what follows up to the next queue; an input costs none. Samples are 16 bits, 48 kHz, one
 * channel or two (`channels`).
 *
 * Threads: any, as GStreamer has it. */
#include <gst/gst.h>
#include <stdbool.h>

#define WMCF_MIX_NAME "wmcfmix"
#define WMCF_TYPE_MIX wmcf_mix_get_type()
GType wmcf_mix_get_type(void);

/* Registers the element in the process. */
bool wmcf_mix_register(GError **error);
