/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the program: makes the maps, writes their descriptors and our constants into copies of the
 * instructions, one per kind of link and direction, and hands them to the verifier. The
 * instructions are compiled in, so neither a compiler nor an object file is needed where it runs.
 */
#include "qos/enforce.h"

#include "qos/bpf-call.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct enforce_relocation {
    uint32_t at;
    enum enforce_symbol symbol;
};
#include "qos/enforce-instructions.h"

struct program {
    const char *name;
    const uint64_t *instructions;
    size_t n_instructions;
    const struct enforce_relocation *relocations;
    size_t n_relocations;
};
#define PROGRAM(name)                                                                              \
    {                                                                                              \
        "wmcf_" #name, name##_instructions, G_N_ELEMENTS(name##_instructions), name##_relocations, \
            G_N_ELEMENTS(name##_relocations)                                                       \
    }
static const struct program programs[] = {
    [QOS_UPLINK] = PROGRAM(ingress),
    [QOS_DOWNLINK] = PROGRAM(egress),
};

static const uint32_t link_headers[ENFORCE_LINKS] = {[ENFORCE_ETHERNET] = 14, [ENFORCE_PLAIN] = 0};

static const struct {
    enum bpf_map_type type;
    const char *name;
    uint32_t key, value;
} maps[ENFORCE_MAP_COUNT] = {
#define MAP(name, type, key, value)                                                                \
    {BPF_MAP_TYPE_##type, "wmcf_" #name, sizeof(key), sizeof(value)},
    ENFORCE_MAPS(MAP)
#undef MAP
};

static uint32_t entries(const struct enforce_limits *limits, enum enforce_symbol map)
{
    switch (map) {
    case ENFORCE_ports:
        return UINT16_MAX + 1;
    case ENFORCE_addresses:
        return limits->addresses;
    case ENFORCE_transports:
        return limits->transports;
    case ENFORCE_sources:
        return limits->sources;
    case ENFORCE_slots:
        return limits->slots;
    case ENFORCE_fragments:
        return ENFORCE_FRAGMENTS;
    default:
        return 1;
    }
}

#define MAP(name, type, key, value)                                                                \
    G_STATIC_ASSERT(BPF_MAP_TYPE_##type != BPF_MAP_TYPE_ARRAY || sizeof(value) % 8 == 0);
ENFORCE_MAPS(MAP)
#undef MAP

static size_t view_length(const struct enforce_limits *limits, enum enforce_symbol map)
{
    size_t page = sysconf(_SC_PAGESIZE);
    return ((size_t)entries(limits, map) * maps[map].value + page - 1) / page * page;
}

static bool make_maps(struct enforce *enforce, GError **error)
{
    void **views[ENFORCE_MAP_COUNT] = {
        [ENFORCE_ports] = (void **)&enforce->ports,
        [ENFORCE_transports] = (void **)&enforce->transports,
        [ENFORCE_slots] = (void **)&enforce->slots,
        [ENFORCE_totals] = (void **)&enforce->totals,
    };
    for (int i = 0; i < ENFORCE_MAP_COUNT; i++) {
        enforce->maps[i] = bpf_map_new(maps[i].type, maps[i].name, maps[i].key, maps[i].value,
                                       entries(&enforce->limits, i), error);
        if (enforce->maps[i] < 0)
            return false;
        if (!views[i])
            continue;
        *views[i] = bpf_map_view(enforce->maps[i], view_length(&enforce->limits, i), error);
        if (!*views[i])
            return false;
    }
    return true;
}

static void relocate(const struct enforce *enforce, struct bpf_insn *instruction,
                     enum enforce_symbol symbol, const uint32_t *constants)
{
    if (symbol < ENFORCE_MAP_COUNT) {
        instruction->src_reg = BPF_PSEUDO_MAP_FD;
        instruction->imm = enforce->maps[symbol];
    } else {
        instruction->imm = constants[symbol];
    }
}

static int load(const struct enforce *enforce, const struct program *program,
                const uint32_t *constants, GError **error)
{
    G_STATIC_ASSERT(sizeof(struct bpf_insn) == sizeof(uint64_t));
    g_autofree struct bpf_insn *code =
        g_memdup2(program->instructions, program->n_instructions * sizeof *code);
    for (size_t i = 0; i < program->n_relocations; i++)
        relocate(enforce, &code[program->relocations[i].at], program->relocations[i].symbol,
                 constants);
    return bpf_program_new(program->name, code, program->n_instructions, error);
}

static bool load_programs(struct enforce *enforce, uint32_t judged_mark, GError **error)
{
    for (int link = 0; link < ENFORCE_LINKS; link++)
        for (int i = 0; i < 2; i++) {
            uint32_t constants[ENFORCE_SYMBOL_COUNT] = {
                [ENFORCE_judged_mark] = judged_mark,
                [ENFORCE_link_header] = link_headers[link],
            };
            enforce->programs[link][i] = load(enforce, &programs[i], constants, error);
            if (enforce->programs[link][i] < 0)
                return false;
        }
    return true;
}

struct enforce *enforce_new(const struct enforce_limits *limits, uint32_t judged_mark,
                            GError **error)
{
    struct enforce *enforce = g_new0(struct enforce, 1);
    memset(enforce->maps, -1, sizeof enforce->maps);
    memset(enforce->programs, -1, sizeof enforce->programs);
    enforce->limits = *limits;
    if (!make_maps(enforce, error) || !load_programs(enforce, judged_mark, error)) {
        enforce_free(enforce);
        return NULL;
    }
    return enforce;
}

static void unmap(const struct enforce *enforce, void *view, enum enforce_symbol map)
{
    if (view)
        munmap(view, view_length(&enforce->limits, map));
}

void enforce_free(struct enforce *enforce)
{
    if (!enforce)
        return;
    unmap(enforce, enforce->ports, ENFORCE_ports);
    unmap(enforce, enforce->transports, ENFORCE_transports);
    unmap(enforce, enforce->slots, ENFORCE_slots);
    unmap(enforce, enforce->totals, ENFORCE_totals);
    for (int link = 0; link < ENFORCE_LINKS; link++)
        for (int i = 0; i < 2; i++)
            if (enforce->programs[link][i] >= 0)
                close(enforce->programs[link][i]);
    for (int i = 0; i < ENFORCE_MAP_COUNT; i++)
        if (enforce->maps[i] >= 0)
            close(enforce->maps[i]);
    g_free(enforce);
}
