/* SPDX-License-Identifier: Apache-2.0 */
/* Makes certificates with the openssl program. */
#include "certificates.h"

#include <glib.h>
#include <glib/gstdio.h>

static struct certificates made;

static void run(const char *const *arguments)
{
    g_autofree char *said = NULL;
    int status = 0;
    g_autoptr(GError) error = NULL;
    if (!g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &said,
                      &status, &error) ||
        status)
        g_error("openssl: %s %s", error ? error->message : "", said ? said : "");
}

static char *file(const char *name, const char *suffix)
{
    g_autofree char *base = g_strconcat(name, suffix, NULL);
    return g_build_filename(made.folder, base, NULL);
}

/* `ca` and `ca_key` NULL: self-signed. */
static void make(const char *name, const char *san, const char *ca, const char *ca_key,
                 char **ret_certificate, char **ret_key)
{
    *ret_certificate = file(name, ".pem");
    *ret_key = file(name, ".key");
    g_autofree char *subject = g_strdup_printf("/CN=%s", name);
    g_autofree char *names = g_strdup_printf("subjectAltName=%s", san);
    const char *const arguments[] = {"openssl",
                                     "req",
                                     "-x509",
                                     "-newkey",
                                     "ec",
                                     "-pkeyopt",
                                     "ec_paramgen_curve:prime256v1",
                                     "-nodes",
                                     "-days",
                                     "2",
                                     "-subj",
                                     subject,
                                     "-addext",
                                     names,
                                     "-out",
                                     *ret_certificate,
                                     "-keyout",
                                     *ret_key,
                                     ca ? "-CA" : NULL,
                                     ca,
                                     "-CAkey",
                                     ca_key,
                                     NULL};
    run(arguments);
}

const struct certificates *certificates_get(void)
{
    if (made.folder)
        return &made;
    g_autofree char *ca_key = NULL;
    g_autofree char *other_key = NULL;
    made.folder = g_dir_make_tmp("certificates-XXXXXX", NULL);
    make("ca", "DNS:ca", NULL, NULL, &made.ca, &ca_key);
    make("server", "DNS:localhost,IP:127.0.0.1,IP:::1", made.ca, ca_key, &made.server,
         &made.server_key);
    make("elsewhere", "DNS:elsewhere.example.org,IP:192.0.2.1", made.ca, ca_key, &made.elsewhere,
         &made.elsewhere_key);
    make("client", "DNS:wsf.example.org,email:wsf@example.org,IP:2001:db8::7", made.ca, ca_key,
         &made.client, &made.client_key);
    make("other", "DNS:other", NULL, NULL, &made.other_ca, &other_key);
    make("stranger", "DNS:localhost,IP:127.0.0.1,IP:::1", made.other_ca, other_key, &made.stranger,
         &made.stranger_key);
    return &made;
}

void certificates_remove(void)
{
    if (!made.folder)
        return;
    const char *const arguments[] = {"rm", "-rf", made.folder, NULL};
    g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                 NULL);
    char **const texts[] = {&made.folder,    &made.ca,       &made.server,        &made.server_key,
                            &made.elsewhere, &made.client,   &made.elsewhere_key, &made.client_key,
                            &made.other_ca,  &made.stranger, &made.stranger_key};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_clear_pointer(texts[i], g_free);
}
