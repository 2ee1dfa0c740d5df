/* SPDX-License-Identifier: Apache-2.0 */
/* Gives every file below the named folders to a fuzz target: what fuzzing has found once stays
 * found, in every build and under every sanitizer, without the fuzzer. A file is one TAP test. */
#include "tests/fuzz/fuzz.h"

#include <glib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void collect(GPtrArray *files, const char *path)
{
    if (!g_file_test(path, G_FILE_TEST_IS_DIR)) {
        g_ptr_array_add(files, g_strdup(path));
        return;
    }
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;
    while (folder && (name = g_dir_read_name(folder))) {
        g_autofree char *inner = g_build_filename(path, name, NULL);
        collect(files, inner);
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    for (int i = 1; i < argc; i++)
        collect(files, argv[i]);
    qsort(files->pdata, files->len, sizeof(gpointer), compare);
    g_print("1..%u\n", files->len);
    for (guint i = 0; i < files->len; i++) {
        const char *path = g_ptr_array_index(files, i);
        g_autofree char *name = g_path_get_basename(path), *text = NULL;
        gsize size = 0;
        bool read = g_file_get_contents(path, &text, &size, NULL);
        if (read) {
            /* Of exactly this size, so that a sanitizer sees a read behind the end. */
            g_autofree uint8_t *data = g_malloc(MAX(size, 1));
            memcpy(data, text, size);
            g_clear_pointer(&text, g_free);
            LLVMFuzzerTestOneInput(data, size);
        }
        g_print("%s %u - %s\n", read ? "ok" : "not ok", i + 1, name);
    }
    return files->len > 0 ? 0 : 1;
}
