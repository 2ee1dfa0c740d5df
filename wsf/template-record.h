/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What has been said about media, as part of a record of the store. Threads: any. */
#include "wsf/offer-template.h"

/* Transfer full. */
json_t *template_record_write(const struct offer_template *offer);
/* Transfer full; NULL and *error when it is not good. */
struct offer_template *template_record_read(const json_t *record, GError **error);
