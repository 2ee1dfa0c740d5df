/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel knows of the measured program. CPU time comes from the process's own clock, in
 * nanoseconds and with the threads that have ended: utime and stime of /proc/PID/stat tell the same
 * in steps of 10 ms, too coarse for a short phase. */
#include "tests/support/load/load.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
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

/* All threads, those that have ended too. */
static gint64 clock_us(clockid_t clock)
{
    struct timespec t;
    return clock_gettime(clock, &t) < 0 ? 0 : (gint64)t.tv_sec * G_USEC_PER_SEC + t.tv_nsec / 1000;
}

gint64 load_own_cpu_us(void)
{
    return clock_us(CLOCK_PROCESS_CPUTIME_ID);
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
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) == 0)
        ret->cpu_us = clock_us(clock);
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
