/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the thread sanitizer of the order that GLib makes: its mutexes and conditions are futexes
 * of its own, the last reference of an object is found by an atomic, a source is attached in one
 * thread and dispatched in another, and a pool has its threads work again, of all which an
 * uninstrumented library shows nothing. A test that links this has GLib's own functions with the
 * edge beside each; so do its libraries, which look in the program first. An unref is both ends of
 * an edge, which may hide a race between two of them, and invents none. */
#include <dlfcn.h>
#include <glib-object.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Weak: what the test starts has no sanitizer in it. */
void __tsan_acquire(void *at) __attribute__((weak));
void __tsan_release(void *at) __attribute__((weak));

/* In the headers they are macros. */
#undef g_once_init_enter
#undef g_once_init_leave

typedef struct _GstMiniObject GstMiniObject;
void gst_mini_object_unref(GstMiniObject *object);

static void acquire(const void *at)
{
    if (__tsan_acquire)
        __tsan_acquire((void *)at);
}

static void release(const void *at)
{
    if (__tsan_release)
        __tsan_release((void *)at);
}

static void *find(_Atomic(void *) *own, const char *name)
{
    void *function = atomic_load_explicit(own, memory_order_relaxed);
    if (!function) {
        function = dlsym(RTLD_NEXT, name);
        atomic_store_explicit(own, function, memory_order_relaxed);
    }
    return function;
}

/* The library's own function of this name. */
#define NEXT(name)                                                                                 \
    ({                                                                                             \
        static _Atomic(void *) own_;                                                               \
        (__typeof__(&name))find(&own_, #name);                                                     \
    })

#define LOCK(name, type)                                                                           \
    void name(type *lock)                                                                          \
    {                                                                                              \
        NEXT(name)(lock);                                                                          \
        acquire(lock);                                                                             \
    }
#define TRYLOCK(name, type)                                                                        \
    gboolean name(type *lock)                                                                      \
    {                                                                                              \
        gboolean taken = NEXT(name)(lock);                                                         \
        if (taken)                                                                                 \
            acquire(lock);                                                                         \
        return taken;                                                                              \
    }
#define UNLOCK(name, type)                                                                         \
    void name(type *lock)                                                                          \
    {                                                                                              \
        release(lock);                                                                             \
        NEXT(name)(lock);                                                                          \
    }

LOCK(g_mutex_lock, GMutex)
TRYLOCK(g_mutex_trylock, GMutex)
UNLOCK(g_mutex_unlock, GMutex)
LOCK(g_rec_mutex_lock, GRecMutex)
TRYLOCK(g_rec_mutex_trylock, GRecMutex)
UNLOCK(g_rec_mutex_unlock, GRecMutex)
LOCK(g_rw_lock_writer_lock, GRWLock)
TRYLOCK(g_rw_lock_writer_trylock, GRWLock)
UNLOCK(g_rw_lock_writer_unlock, GRWLock)
LOCK(g_rw_lock_reader_lock, GRWLock)
TRYLOCK(g_rw_lock_reader_trylock, GRWLock)
UNLOCK(g_rw_lock_reader_unlock, GRWLock)

void g_cond_wait(GCond *cond, GMutex *mutex)
{
    release(mutex);
    NEXT(g_cond_wait)(cond, mutex);
    acquire(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
    release(mutex);
    gboolean ret = NEXT(g_cond_wait_until)(cond, mutex, end);
    acquire(mutex);
    return ret;
}

gboolean g_once_init_enter(volatile void *at)
{
    gboolean ret = NEXT(g_once_init_enter)(at);
    acquire((const void *)at);
    return ret;
}

void g_once_init_leave(volatile void *at, gsize value)
{
    release((const void *)at);
    NEXT(g_once_init_leave)(at, value);
}

void g_object_unref(gpointer object)
{
    release(object);
    acquire(object);
    NEXT(g_object_unref)(object);
}

void gst_mini_object_unref(GstMiniObject *object)
{
    release(object);
    acquire(object);
    NEXT(gst_mini_object_unref)(object);
}

/* --- sources ---------------------------------------------------------------------------------- */

struct callback {
    GSourceFunc fn;
    gpointer data;
    GDestroyNotify notify;
    GSource *source; /* borrowed: it has us */
};

static gboolean on_source(gpointer user)
{
    struct callback *callback = user;
    acquire(callback->source);
    return callback->fn(callback->data);
}

static void free_callback(gpointer user)
{
    struct callback *callback = user;
    release(callback->source);
    acquire(callback->source);
    if (callback->notify)
        callback->notify(callback->data);
    g_free(callback);
}

/* Callbacks of other kinds of sources have other arguments. */
void g_source_set_callback(GSource *source, GSourceFunc fn, gpointer data, GDestroyNotify notify)
{
    bool plain = source->source_funcs == &g_idle_funcs || source->source_funcs == &g_timeout_funcs;
    if (!plain || !fn) {
        NEXT(g_source_set_callback)(source, fn, data, notify);
        return;
    }
    struct callback *callback = g_new(struct callback, 1);
    *callback = (struct callback){fn, data, notify, source};
    NEXT(g_source_set_callback)(source, on_source, callback, free_callback);
}

guint g_source_attach(GSource *source, GMainContext *context)
{
    release(source);
    return NEXT(g_source_attach)(source, context);
}

/* --- pools ------------------------------------------------------------------------------------ */

struct pool { /* lives as long as the process */
    GFunc fn;
    gpointer user;
};

static void on_pool(gpointer data, gpointer user)
{
    const struct pool *pool = user;
    acquire(data);
    pool->fn(data, pool->user);
}

GThreadPool *g_thread_pool_new(GFunc fn, gpointer user, gint threads, gboolean exclusive,
                               GError **error)
{
    struct pool *pool = g_new(struct pool, 1);
    *pool = (struct pool){fn, user};
    return NEXT(g_thread_pool_new)(on_pool, pool, threads, exclusive, error);
}

gboolean g_thread_pool_push(GThreadPool *pool, gpointer data, GError **error)
{
    release(data);
    return NEXT(g_thread_pool_push)(pool, data, error);
}
