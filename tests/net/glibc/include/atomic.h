/* glibc's atomic operations, of those of the compiler. */
#define __HAVE_64B_ATOMICS 1
#define atomic_load_relaxed(at) __atomic_load_n (at, __ATOMIC_RELAXED)
#define atomic_load_acquire(at) __atomic_load_n (at, __ATOMIC_ACQUIRE)
#define atomic_store_relaxed(at, value) __atomic_store_n (at, value, __ATOMIC_RELAXED)
#define atomic_store_release(at, value) __atomic_store_n (at, value, __ATOMIC_RELEASE)
#define atomic_exchange_relaxed(at, value) __atomic_exchange_n (at, value, __ATOMIC_RELAXED)
#define atomic_exchange_acquire(at, value) __atomic_exchange_n (at, value, __ATOMIC_ACQUIRE)
#define atomic_fetch_add_relaxed(at, value) __atomic_fetch_add (at, value, __ATOMIC_RELAXED)
#define atomic_fetch_add_acq_rel(at, value) __atomic_fetch_add (at, value, __ATOMIC_ACQ_REL)
#define atomic_compare_and_exchange_val_acq(at, value, old) __sync_val_compare_and_swap (at, old, value)
#define atomic_compare_and_exchange_bool_acq(at, value, old) (!__sync_bool_compare_and_swap (at, old, value))
