/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is done to the SCTP elements that webrtcbin makes for a data channel, so that it carries any
 * message as it is: see sctp-elements.c. Threads: as marked. */
#include <gst/gst.h>
#include <stdbool.h>

/* How many octets a message grows by between here and there. */
#define SCTP_MARK_OCTETS 1

/* What adopts the elements of one webrtcbin. Transfer full; goes with the last reference. Any. */
struct sctp_elements;
struct sctp_elements *sctp_elements_new(void);
struct sctp_elements *sctp_elements_ref(struct sctp_elements *elements);
void sctp_elements_unref(struct sctp_elements *elements);
/* For "element-added" of webrtcbin. Its threads. */
void sctp_elements_adopt(GstBin *webrtcbin, GstElement *child, struct sctp_elements *elements);
/* Whether it is one of them. Any thread. */
bool sctp_elements_has(GstElement *element);
/* Whether an error message of the bus came from one of them. Any thread. */
bool sctp_elements_is_source(const GstMessage *message);

/* A message as webrtcbin's send-data is to get it. Transfer full. Any thread. */
GBytes *sctp_message_mark(GBytes *message, bool text);
/* A message as webrtcbin's on-message-data gives it; NULL when it has no mark. Transfer full. */
GBytes *sctp_message_unmark(GBytes *marked, bool *ret_text);

/* Lets go of what is kept for the process. Control, after the last leg. */
void sctp_elements_finish(void);
