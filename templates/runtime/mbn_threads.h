/* SPDX-License-Identifier: 0BSD */
/* A pool of threads that do the same work side by side, and meet where one needs what another has made.
 *
 * For GCC and clang with pthreads; compile with -DMBN_NO_THREADS to do without. A thread that waits spins for a while before it
 * yields, or between works sleeps: one inference has a hundred meetings, microseconds apart. */
#ifndef MBN_THREADS_H
#define MBN_THREADS_H

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#include "mbn_version.h"
#if MBN_VERSION != 100
#error "mbn_threads.h is of another version of mbn2c: take all files from one build"
#endif

enum { MBN_MOST_THREADS = 8, MBN_SPINS = 50000, MBN_CACHE_LINE = 64 };

/* What each thread does; `thread` is 0 for the caller's. */
typedef void (*mbn_work)(void *context, int thread);

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t threads[MBN_MOST_THREADS - 1];
    int count; /* of threads, the caller's among them */
    int named; /* of those that know their number */
    int ends;
    mbn_work work;
    void *context;
    int works; /* changes when a work begins */
    int8_t apart[MBN_CACHE_LINE];
    int here; /* threads that have come to the meeting */
    int8_t far[MBN_CACHE_LINE];
    int meetings; /* changes when all have come */
} mbn_pool;

/* Returns when all threads have called it: what they wrote before can be read. */
static inline void mbn_meet(mbn_pool *pool)
{
    const int before = __atomic_load_n(&pool->meetings, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&pool->here, 1, __ATOMIC_ACQ_REL) == pool->count) {
        __atomic_store_n(&pool->here, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&pool->meetings, before + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int i = 0; __atomic_load_n(&pool->meetings, __ATOMIC_ACQUIRE) == before; i++) {
        if (i >= MBN_SPINS) {
            i = MBN_SPINS;
            sched_yield();
        }
    }
}

static inline void *mbn_thread(void *argument)
{
    mbn_pool *pool = (mbn_pool *)argument;
    const int thread = __atomic_add_fetch(&pool->named, 1, __ATOMIC_RELAXED);
    int works = 0;
    for (;;) {
        for (int i = 0; i < MBN_SPINS && __atomic_load_n(&pool->works, __ATOMIC_ACQUIRE) == works; i++) {
        }
        if (__atomic_load_n(&pool->works, __ATOMIC_ACQUIRE) == works) {
            pthread_mutex_lock(&pool->mutex);
            while (__atomic_load_n(&pool->works, __ATOMIC_ACQUIRE) == works) {
                pthread_cond_wait(&pool->wake, &pool->mutex);
            }
            pthread_mutex_unlock(&pool->mutex);
        }
        works = __atomic_load_n(&pool->works, __ATOMIC_ACQUIRE);
        if (pool->ends) {
            return NULL;
        }
        pool->work(pool->context, thread);
        mbn_meet(pool);
    }
}

static inline void mbn_wake(mbn_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    __atomic_fetch_add(&pool->works, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

/* Returns when all threads have done the work. */
static inline void mbn_do(mbn_pool *pool, mbn_work work, void *context)
{
    pool->work = work;
    pool->context = context;
    mbn_wake(pool);
    work(context, 0);
    mbn_meet(pool);
}

/* Ends all threads but the caller's. */
static inline void mbn_stop(mbn_pool *pool)
{
    pool->ends = 1;
    mbn_wake(pool);
    for (int i = 0; i < pool->count - 1; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    pool->count = 0;
}

/* Starts `count` threads, the caller's among them: none if that is 1. Returns 0, or what pthreads says. */
static inline int mbn_start(mbn_pool *pool, int count)
{
    int error = pthread_mutex_init(&pool->mutex, NULL);
    if (error != 0) {
        return error;
    }
    error = pthread_cond_init(&pool->wake, NULL);
    pool->named = pool->ends = pool->works = pool->here = pool->meetings = 0;
    for (pool->count = 1; error == 0 && pool->count < count;) {
        error = pthread_create(&pool->threads[pool->count - 1], NULL, mbn_thread, pool);
        pool->count += error == 0;
    }
    if (error != 0) {
        mbn_stop(pool);
    }
    return error;
}

#endif
