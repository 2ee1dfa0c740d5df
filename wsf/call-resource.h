/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Local media resources (protocol A5 media/<name>@realm): the far side of the call is a pipeline of
 * the media centre, made from a template as its [resource] section says. Threads: control. */
#include "wsf/call-media.h"

/* How the descriptions of a resource's leg are made: there are none. Its "offer" starts the
 * pipeline, and the leg's `negotiated` is what it gives of what was wanted. */
extern const struct leg_media media_resource;

/* Whether what every [resource] section says can be read; *error names the section. */
bool resource_check(const struct conf *conf, GError **error);
/* Whether viewers of the resource of this name ("media/film") may halt it and seek in it. */
bool resource_has_control(const struct conf *conf, const char *resource);
