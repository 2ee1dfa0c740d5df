/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Throw-away certificates in a temporary folder, made once per process. */

struct certificates {
    char *folder;
    char *ca;                                 /* of all below */
    char *server, *server_key;                /* localhost, 127.0.0.1, ::1 */
    char *elsewhere, *elsewhere_key;          /* another name */
    char *client, *client_key;                /* wsf.example.org */
    char *other_ca, *stranger, *stranger_key; /* signed by nobody we know */
};

const struct certificates *certificates_get(void);
void certificates_remove(void);
