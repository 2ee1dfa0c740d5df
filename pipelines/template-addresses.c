/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that a template sends to. They are settled before anything is opened: what is refused
 * has left nothing behind. */
#include "pipelines/template-parts.h"

#include "base/problem.h"
#include "pipelines/tap-addresses.h"

#include <string.h>

bool template_read_addresses(const struct pipeline_template *t,
                             const struct pipeline_surroundings *surroundings, GHashTable *values,
                             const char *base, GError **error)
{
    for (guint i = 0; i < t->parameters->len; i++) {
        const struct template_parameter *p = g_ptr_array_index(t->parameters, i);
        if (p->type != TEMPLATE_ADDRESS)
            continue;
        struct tap_address address;
        g_autofree char *pointer = template_pointer(base, p->name);
        const char *said = g_hash_table_lookup(values, p->name);
        bool stands_in = *said == '\0' && surroundings->stand_in_address;
        if (stands_in)
            said = surroundings->stand_in_address;
        if (*said == '\0')
            continue;
        if (!tap_address_read(said, pointer, &address, error) ||
            (!stands_in && !surroundings->as_said &&
             !tap_address_allowed(surroundings->places.tap_addresses, &address, pointer, error)))
            return false;
        g_hash_table_insert(values, p->name, g_strdup_printf("%s %u", address.host, address.port));
    }
    return true;
}

bool template_check_addresses(const struct pipeline_template *t, GHashTable *values,
                              const char *base, GError **error)
{
    for (guint i = 0; i < t->parameters->len; i++) {
        const struct template_parameter *p = g_ptr_array_index(t->parameters, i);
        if (p->type != TEMPLATE_ADDRESS || *(const char *)g_hash_table_lookup(values, p->name))
            continue;
        g_autofree char *placeholder = g_strdup_printf("${%s.", p->name);
        for (guint k = 0; k < t->lines->len; k++) {
            const struct template_line *line = g_ptr_array_index(t->lines, k);
            if (!template_line_is_there(line, values) || !strstr(line->text, placeholder))
                continue;
            g_autofree char *pointer = template_pointer(base, p->name);
            problem_set_param(error, PROBLEM_INVALID_MESSAGE, pointer,
                              "the template needs the address %s, as 192.0.2.7:5004", p->name);
            return false;
        }
    }
    return true;
}
