/* SPDX-License-Identifier: Apache-2.0 */
/* The signalling function's reading of descriptions: kinds, directions, codec names, mids. */
#include "base/problem.h"
#include "tests/fuzz/fuzz.h"
#include "wsf/offer-template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    offer_template_auto *offer = offer_template_parse(text, 65536, &error);
    g_assert((offer == NULL) == (error != NULL));
    if (!offer)
        return 0;
    g_assert_cmpuint(offer->medias->len, <=, OFFER_MAX_MEDIAS);
    struct offer_template *(*const uses[])(const struct offer_template *, GError **) = {
        offer_template_wanted, offer_template_chosen};
    for (guint i = 0; i < G_N_ELEMENTS(uses); i++) {
        g_autoptr(GError) refusal = NULL;
        offer_template_auto *kept = uses[i](offer, &refusal);
        g_assert((kept == NULL) == (refusal != NULL));
        if (kept)
            json_decref(offer_template_json(kept));
    }
    return 0;
}
