/* SPDX-License-Identifier: 0BSD */
/* A pool of threads that share the tasks of a round, and wait for each other at its end.
 *
 * For GCC and clang with pthreads; compile with -DMBN_NO_THREADS to do without. Between rounds a thread spins for a while before it
 * sleeps: rounds of one inference follow each other within microseconds. */
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

enum { MBN_MOST_THREADS = 8, MBN_SPINS = 50000 };

/* One task of a round; `thread` is 0 for the caller's. */
typedef void (*mbn_work)(void *context, int task, int thread);

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t threads[MBN_MOST_THREADS - 1];
    int count; /* of threads, the caller's among them */
    int named; /* of those that know their number */
    int ends;
    mbn_work work;
    void *context;
    int tasks;
    int next;  /* the task to take */
    int busy;  /* threads that are not at the end of the round */
    int round; /* changes when one begins */
} mbn_pool;

static inline void mbn_take_tasks(mbn_pool *pool, int thread)
{
    int task;
    while ((task = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED)) < pool->tasks) {
        pool->work(pool->context, task, thread);
    }
}

static inline void *mbn_thread(void *argument)
{
    mbn_pool *pool = (mbn_pool *)argument;
    const int thread = __atomic_add_fetch(&pool->named, 1, __ATOMIC_RELAXED);
    int round = 0;
    for (;;) {
        for (int i = 0; i < MBN_SPINS && __atomic_load_n(&pool->round, __ATOMIC_ACQUIRE) == round; i++) {
        }
        if (__atomic_load_n(&pool->round, __ATOMIC_ACQUIRE) == round) {
            pthread_mutex_lock(&pool->mutex);
            while (__atomic_load_n(&pool->round, __ATOMIC_ACQUIRE) == round) {
                pthread_cond_wait(&pool->wake, &pool->mutex);
            }
            pthread_mutex_unlock(&pool->mutex);
        }
        round = __atomic_load_n(&pool->round, __ATOMIC_ACQUIRE);
        if (pool->ends) {
            return NULL;
        }
        mbn_take_tasks(pool, thread);
        __atomic_fetch_sub(&pool->busy, 1, __ATOMIC_RELEASE);
    }
}

/* A round: returns when all tasks are done. */
static inline void mbn_share(mbn_pool *pool, mbn_work work, void *context, int tasks)
{
    pool->work = work;
    pool->context = context;
    pool->tasks = tasks;
    pool->next = 0;
    pool->busy = pool->count - 1;
    pthread_mutex_lock(&pool->mutex);
    __atomic_fetch_add(&pool->round, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    mbn_take_tasks(pool, 0);
    for (int i = 0; __atomic_load_n(&pool->busy, __ATOMIC_ACQUIRE) > 0; i++) {
        if (i >= MBN_SPINS) {
            sched_yield();
        }
    }
}

/* Ends all threads but the caller's. */
static inline void mbn_stop(mbn_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->ends = 1;
    __atomic_fetch_add(&pool->round, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
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
    pool->named = pool->ends = pool->round = 0;
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
