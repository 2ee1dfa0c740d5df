/* SPDX-License-Identifier: Apache-2.0 */
/* The reader walks the packet twice: once to see that everything that is told is there, once to
 * tell it; so a broken packet changes nothing, and a reader needs no memory. The writer keeps a
 * window of arrivals by sequence number. What was told as lost and comes later is told again
 * together with what lies behind it, since a feedback packet can only tell of a row. */
#include "wmcf/relay/transport-feedback.h"

#include <string.h>

#define HEADER_OCTETS 8
#define RUN_MAX 8191
#define WINDOW_MASK (TRANSPORT_ARRIVALS - 1)
#define REFERENCE_TICKS 256 /* 64 ms */

enum symbol { LOST = 0, SMALL = 1, LARGE = 2, RESERVED = 3 };

static uint16_t read16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint8_t *put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
    return p + 2;
}

/* --- reading ---------------------------------------------------------------------------------- */

static unsigned chunk_symbols(uint16_t chunk)
{
    if (!(chunk & 0x8000)) /* run length, 3.1.3 */
        return chunk & 0x1fff;
    return chunk & 0x4000 ? 7 : 14; /* status vector, 3.1.4 */
}

/* The symbol with `left` of the chunk's symbols not yet read, itself included. */
static enum symbol chunk_symbol(uint16_t chunk, unsigned left)
{
    if (!(chunk & 0x8000))
        return chunk >> 13 & 3;
    return chunk & 0x4000 ? chunk >> (2 * (left - 1)) & 3 : chunk >> (left - 1) & 1;
}

static bool next_symbol(struct transport_feedback *reader, const uint8_t *end, enum symbol *ret)
{
    while (reader->symbols == 0) { /* a run of length 0 is legal, if odd */
        if (end && end - reader->chunk < 2)
            return false;
        reader->bits = read16(reader->chunk);
        reader->chunk += 2;
        reader->symbols = (uint16_t)chunk_symbols(reader->bits);
    }
    *ret = chunk_symbol(reader->bits, reader->symbols--);
    return true;
}

bool transport_feedback_begin(struct transport_feedback *reader, const uint8_t *fci, size_t length)
{
    if (length < HEADER_OCTETS)
        return false;
    const uint8_t *end = fci + length;
    size_t deltas = 0;
    *reader = (struct transport_feedback){
        .base = read16(fci),
        .count = read16(fci + 2),
        .reference = (uint32_t)fci[4] << 16 | (uint32_t)fci[5] << 8 | fci[6],
        .number = fci[7],
        .chunk = fci + HEADER_OCTETS,
    };
    struct transport_feedback start = *reader;
    if (reader->count > TRANSPORT_FEEDBACK_PACKETS_MAX)
        return false;
    for (unsigned i = 0; i < reader->count; i++) {
        enum symbol symbol;
        if (!next_symbol(reader, end, &symbol) || symbol == RESERVED)
            return false;
        deltas += symbol == SMALL ? 1 : symbol == LARGE ? 2 : 0;
    }
    start.delta = reader->chunk;
    *reader = start;
    return deltas <= (size_t)(end - reader->delta);
}

bool transport_feedback_next(struct transport_feedback *reader, struct transport_arrival *ret)
{
    enum symbol symbol;
    if (reader->at == reader->count || !next_symbol(reader, NULL, &symbol))
        return false;
    ret->sequence = (uint16_t)(reader->base + reader->at++);
    ret->received = symbol != LOST;
    if (symbol == SMALL)
        reader->ticks += *reader->delta++;
    if (symbol == LARGE) {
        reader->ticks += (int16_t)read16(reader->delta);
        reader->delta += 2;
    }
    ret->ticks = reader->ticks;
    return true;
}

/* --- collecting ------------------------------------------------------------------------------- */

static uint32_t *place(struct transport_arrivals *arrivals, int64_t index)
{
    return &arrivals->at[index & WINDOW_MASK];
}

static void begin_window(struct transport_arrivals *arrivals, int64_t index)
{
    memset(arrivals->at, 0, sizeof arrivals->at);
    arrivals->first = arrivals->highest = index;
    arrivals->received = 0;
    arrivals->started = true;
}

static void advance(struct transport_arrivals *arrivals, int64_t index)
{
    for (int64_t i = arrivals->highest + 1; i <= index; i++)
        *place(arrivals, i) = 0;
    arrivals->highest = index;
    if (arrivals->first <= index - TRANSPORT_ARRIVALS)
        arrivals->first = index - TRANSPORT_ARRIVALS + 1;
}

void transport_arrivals_add(struct transport_arrivals *arrivals, uint16_t sequence, int64_t now)
{
    int64_t index = sequence + 0x10000;
    if (arrivals->started) {
        int16_t ahead = (int16_t)(sequence - (uint16_t)arrivals->highest);
        index = arrivals->highest + ahead;
    }
    /* A jump by more than is remembered: the sender began anew, or a long silence. */
    if (!arrivals->started || index >= arrivals->highest + TRANSPORT_ARRIVALS)
        begin_window(arrivals, index);
    else if (index > arrivals->highest)
        advance(arrivals, index);
    else if (index <= arrivals->highest - TRANSPORT_ARRIVALS || *place(arrivals, index))
        return;
    *place(arrivals, index) = (uint32_t)(now / TRANSPORT_TICK_US) + 1;
    if (*place(arrivals, index) == 0) /* the clock passes through what stands for lost */
        *place(arrivals, index) = 1;
    arrivals->received++;
    if (index < arrivals->first)
        arrivals->first = index;
}

void transport_arrivals_fill(struct transport_arrivals *arrivals)
{
    uint32_t behind = 0;
    for (int64_t i = arrivals->highest; arrivals->received && i >= arrivals->first; i--) {
        uint32_t *at = place(arrivals, i);
        if (!*at) {
            *at = behind;
            arrivals->received++;
        }
        behind = *at;
    }
}

unsigned transport_arrivals_pending(const struct transport_arrivals *arrivals)
{
    return arrivals->received ? (unsigned)(arrivals->highest - arrivals->first + 1) : 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

struct row { /* what one feedback packet tells */
    uint8_t symbols[TRANSPORT_ARRIVALS];
    int16_t deltas[TRANSPORT_ARRIVALS];
    unsigned n, n_deltas;
};

/* Octets that the row's chunks take at most: the vectors of two-bit symbols. */
static size_t chunks_bound(unsigned n)
{
    return 2 * (size_t)((n + 6) / 7);
}

/* Fills the row from arrivals->first on; ends before what does not fit or is too far apart. */
static void fill_row(struct transport_arrivals *arrivals, uint32_t reference, size_t max,
                     struct row *row)
{
    uint32_t last = reference * REFERENCE_TICKS;
    size_t deltas = 0;
    row->n = row->n_deltas = 0;
    for (int64_t i = arrivals->first; i <= arrivals->highest; i++) {
        uint32_t at = *place(arrivals, i);
        int32_t delta = (int32_t)(at - 1 - last);
        uint8_t symbol = !at ? LOST : delta >= 0 && delta <= 255 ? SMALL : LARGE;
        deltas += symbol;
        if (symbol == LARGE && (delta < INT16_MIN || delta > INT16_MAX))
            break;
        if (HEADER_OCTETS + chunks_bound(row->n + 1) + deltas + 3 > max)
            break;
        row->symbols[row->n++] = symbol;
        if (!at)
            continue;
        row->deltas[row->n_deltas++] = (int16_t)delta;
        last = at - 1;
    }
}

static unsigned run_from(const struct row *row, unsigned at)
{
    unsigned n = 1;
    while (at + n < row->n && n < RUN_MAX && row->symbols[at + n] == row->symbols[at])
        n++;
    return n;
}

static bool has_large(const struct row *row, unsigned at, unsigned n)
{
    for (unsigned i = at; i < at + n && i < row->n; i++) {
        if (row->symbols[i] == LARGE)
            return true;
    }
    return false;
}

static uint8_t *put_vector(uint8_t *p, const struct row *row, unsigned at, unsigned n)
{
    unsigned width = n == 7 ? 2 : 1;
    uint16_t chunk = n == 7 ? 0xc000 : 0x8000;
    for (unsigned i = 0; i < n && at + i < row->n; i++)
        chunk |= (uint16_t)(row->symbols[at + i] << (width * (n - 1 - i)));
    return put16(p, chunk);
}

/* The longest chunk each time. */
static uint8_t *put_chunks(uint8_t *p, const struct row *row)
{
    for (unsigned at = 0; at < row->n;) {
        unsigned run = run_from(row, at);
        unsigned vector = has_large(row, at, 14) ? 7 : 14;
        if (run >= vector || at + run == row->n) {
            p = put16(p, (uint32_t)row->symbols[at] << 13 | run);
            at += run;
        } else {
            p = put_vector(p, row, at, vector);
            at += vector;
        }
    }
    return p;
}

static uint8_t *put_deltas(uint8_t *p, const struct row *row)
{
    const int16_t *delta = row->deltas;
    for (unsigned i = 0; i < row->n; i++) {
        if (row->symbols[i] == SMALL)
            *p++ = (uint8_t)*delta++;
        else if (row->symbols[i] == LARGE)
            p = put16(p, (uint16_t)*delta++);
    }
    return p;
}

size_t transport_arrivals_write(struct transport_arrivals *arrivals, uint8_t *out, size_t max)
{
    struct row row;
    if (!arrivals->received || max < HEADER_OCTETS + 8)
        return 0;
    /* The reference is that of the first one that was received, so its delta is small. */
    int64_t i = arrivals->first;
    while (i < arrivals->highest && !*place(arrivals, i))
        i++;
    uint32_t reference = (*place(arrivals, i) - 1) / REFERENCE_TICKS;
    fill_row(arrivals, reference, max, &row);
    uint8_t *p = put16(put16(out, (uint16_t)arrivals->first), row.n);
    p = put16(p, (uint16_t)(reference >> 8));
    *p++ = (uint8_t)reference;
    *p++ = arrivals->number++;
    p = put_deltas(put_chunks(p, &row), &row);
    while ((p - out) % 4)
        *p++ = 0;
    arrivals->first += row.n;
    arrivals->received -=
        (uint16_t)(row.n_deltas < arrivals->received ? row.n_deltas : arrivals->received);
    if (arrivals->first > arrivals->highest)
        arrivals->received = 0;
    else if (arrivals->received == 0) /* told again, together with what came late */
        arrivals->received = 1;
    return (size_t)(p - out);
}
