/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a profile-level-id of H264 (RFC 6184 8.1) says. Pure. Threads: any. */

#define H264_DEFAULT_PROFILE_LEVEL_ID "420010" /* what an absent one means */

/* Two digits of a profile and two of its constraints, the same for all that mean the same profile;
 * static. NULL: six hexadecimal digits they are not, or of a profile that is not known. */
const char *h264_profile(const char *profile_level_id);
/* Its level, as a number that grows with what it allows; 0 for what h264_profile() does not know.
 */
unsigned h264_level(const char *profile_level_id);
