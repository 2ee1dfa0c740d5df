/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What an element that opens a URI may do by itself once the URI is allowed (media-places.h).
 *
 * Threads: any. */
#include <gst/gst.h>

/* For each element that comes into a pipeline, before it runs: those that open no URI are left as
 * they are. Borrowed. */
void media_source_restrain(GstElement *element);
