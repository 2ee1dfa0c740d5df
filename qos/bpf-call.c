/* SPDX-License-Identifier: Apache-2.0 */
/* bpf(2) without a library: a handful of commands, each one struct in the kernel's own layout. What
 * keeps the call from working is told with its remedy here, where the errno is still known. */
#include "qos/bpf-call.h"

#include "base/problem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_SIZE (256 * 1024)
#define LOAD_TRIES 10

static int call(enum bpf_cmd command, union bpf_attr *attr)
{
    return syscall(SYS_bpf, command, attr, sizeof *attr);
}

static uint64_t address(const void *pointer)
{
    return (uintptr_t)pointer;
}

static void set_refused(GError **error, const char *what, int why)
{
    if (why == EPERM || why == EACCES)
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "bpf() is not permitted (%s): run with CAP_BPF and CAP_NET_ADMIN, as the unit "
                    "file does, or as root; a container's seccomp profile may forbid it as well",
                    what);
    else if (why == ENOSYS)
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "this kernel has no bpf(): it wants CONFIG_BPF_SYSCALL");
    else if (why == ENOMEM || why == E2BIG)
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "bpf() has no memory for %s: lower qos.flows or limits.terminations", what);
    else
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "bpf() refuses %s (%s): Linux 5.19 or newer is needed", what, g_strerror(why));
}

int bpf_map_new(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value,
                uint32_t entries, GError **error)
{
    union bpf_attr attr = {
        .map_type = type,
        .key_size = key,
        .value_size = value,
        .max_entries = entries,
    };
    /* Tables take their memory at once: later there may be none at the moment when a packet's owner
     * has to be told. */
    if (type == BPF_MAP_TYPE_ARRAY)
        attr.map_flags = BPF_F_MMAPABLE;
    g_strlcpy(attr.map_name, name, sizeof attr.map_name);
    int fd = call(BPF_MAP_CREATE, &attr);
    if (fd < 0)
        set_refused(error, name, errno);
    return fd;
}

void *bpf_map_view(int fd, size_t length, GError **error)
{
    void *view = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (view != MAP_FAILED)
        return view;
    set_refused(error, "a map in our memory", errno);
    return NULL;
}

bool bpf_map_put(int fd, const void *key, const void *value)
{
    union bpf_attr attr = {.map_fd = fd, .key = address(key), .value = address(value)};
    return call(BPF_MAP_UPDATE_ELEM, &attr) == 0;
}

bool bpf_map_get(int fd, const void *key, void *ret_value)
{
    union bpf_attr attr = {.map_fd = fd, .key = address(key), .value = address(ret_value)};
    return call(BPF_MAP_LOOKUP_ELEM, &attr) == 0;
}

bool bpf_map_remove(int fd, const void *key)
{
    union bpf_attr attr = {.map_fd = fd, .key = address(key)};
    return call(BPF_MAP_DELETE_ELEM, &attr) == 0;
}

/* What the verifier said last, before its statistics. */
static char *last_line(char *log)
{
    char *said = NULL, *rest = NULL;
    for (char *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (!g_str_has_prefix(line, "processed ") && !g_str_has_prefix(line, "verification time"))
            said = line;
    return said;
}

/* The verifier stops with EAGAIN where a signal is pending, which says nothing of the program. */
static int load(union bpf_attr *attr)
{
    int fd, tries = 0;
    do {
        fd = call(BPF_PROG_LOAD, attr);
    } while (fd < 0 && errno == EAGAIN && ++tries < LOAD_TRIES);
    return fd;
}

int bpf_program_new(const char *name, const struct bpf_insn *instructions, uint32_t n,
                    GError **error)
{
    union bpf_attr attr = {
        .prog_type = BPF_PROG_TYPE_SCHED_CLS,
        .insns = address(instructions),
        .insn_cnt = n,
        .license = address("Apache-2.0"), /* no helper that is called asks for another */
    };
    g_strlcpy(attr.prog_name, name, sizeof attr.prog_name);
    int fd = load(&attr);
    if (fd >= 0)
        return fd;
    int why = errno;
    if (why == EPERM) {
        set_refused(error, name, why);
        return -1;
    }
    /* Once more, for what the verifier has to say. */
    g_autofree char *log = g_malloc0(LOG_SIZE);
    attr.log_buf = address(log);
    attr.log_size = LOG_SIZE;
    attr.log_level = 1;
    fd = load(&attr);
    if (fd >= 0)
        return fd;
    char *said = last_line(log);
    if (said)
        problem_set(error, PROBLEM_ENFORCEMENT_UNAVAILABLE,
                    "the kernel's verifier refuses the program \"%s\" (%s): Linux 5.19 or newer is "
                    "needed",
                    name, said);
    else
        set_refused(error, name, why);
    return -1;
}
