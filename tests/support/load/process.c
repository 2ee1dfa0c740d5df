/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel knows of the measured program. CPU time comes from the threads' schedstat in
 * nanoseconds where the kernel has it: utime and stime of /proc/PID/stat are the same clock in
 * steps of 10 ms, too coarse for a short phase. */
#include "tests/support/load/load.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static guint count_entries(int pid, const char *what)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, what);
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    guint n = 0;
    while (directory && g_dir_read_name(directory))
        n++;
    return n;
}

static gint64 stat_us(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid);
    g_autofree char *text = NULL;
    unsigned long user = 0, kernel = 0;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    const char *after_name = strrchr(text, ')');
    if (!after_name ||
        sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &kernel) != 2)
        return 0;
    return (gint64)(user + kernel) * G_USEC_PER_SEC / sysconf(_SC_CLK_TCK);
}

/* Of living threads only; the measured phases start and end none worth counting. */
static gint64 schedstat_us(int pid)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", pid);
    g_autoptr(GDir) directory = g_dir_open(tasks, 0, NULL);
    const char *name;
    guint64 sum = 0;
    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *path = g_strdup_printf("%s/%s/schedstat", tasks, name);
        g_autofree char *text = NULL;
        if (g_file_get_contents(path, &text, NULL, NULL))
            sum += g_ascii_strtoull(text, NULL, 10);
    }
    return (gint64)(sum / 1000);
}

static guint64 resident_kb(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/statm", pid);
    g_autofree char *text = NULL;
    unsigned long pages = 0;
    if (g_file_get_contents(path, &text, NULL, NULL))
        sscanf(text, "%*u %lu", &pages);
    return pages * (guint64)sysconf(_SC_PAGESIZE) / 1024;
}

void load_process_read(int pid, struct load_process *ret)
{
    memset(ret, 0, sizeof *ret);
    if (pid <= 0)
        return;
    ret->cpu_us = schedstat_us(pid);
    if (!ret->cpu_us)
        ret->cpu_us = stat_us(pid);
    ret->threads = count_entries(pid, "task");
    ret->fds = count_entries(pid, "fd");
    ret->resident_kb = resident_kb(pid);
}

json_t *load_process_json(const struct load_process *process)
{
    return json_pack("{s:I, s:i, s:i, s:I}", "cpu_us", (json_int_t)process->cpu_us, "threads",
                     (int)process->threads, "fds", (int)process->fds, "resident_kb",
                     (json_int_t)process->resident_kb);
}
